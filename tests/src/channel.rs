//! The broker's end of the channel with nothing behind it: whatever its holder wants said is said.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use dbal_shared::codec::Wire;
use dbal_shared::frame::{FrameReader, write_frame};
use dbal_shared::limits::{FRAME_TO_BROKER_BYTES, FRAME_TO_WORKER_BYTES};
use dbal_shared::message::{ToBroker, ToWorker};

/// A connection to the worker.
pub struct Channel {
    stream: UnixStream,
    reader: FrameReader,
}

impl Channel {
    /// Connects; says nothing yet.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the worker listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        stream
            .set_write_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        Self {
            stream,
            reader: FrameReader::new(FRAME_TO_BROKER_BYTES),
        }
    }

    /// Sends one message; an error means that the worker has closed.
    pub fn send(&mut self, message: &ToWorker) -> std::io::Result<()> {
        self.send_frame(message)
    }

    /// Sends anything that can be encoded.
    pub fn send_frame<T: Wire>(&mut self, message: &T) -> std::io::Result<()> {
        let mut frame = Vec::new();
        write_frame(message, FRAME_TO_WORKER_BYTES, &mut frame).expect("it fits a frame");
        self.stream.write_all(&frame)
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next message but health samples and heads of the audit trail; none when the worker has closed.
    pub fn receive(&mut self) -> Option<ToBroker> {
        loop {
            match self.receive_any() {
                Some(ToBroker::Health(_) | ToBroker::Head(_)) => {}
                message => return message,
            }
        }
    }

    /// The next message of any kind; none when the worker has closed.
    pub fn receive_any(&mut self) -> Option<ToBroker> {
        loop {
            match self.reader.next_message() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(error) => panic!("the worker sent something broken: {error}"),
            }
            let mut piece = [0; 64 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(length) => self.reader.space().extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                // signal(7): a read with a bound is interrupted where somebody stops the test for a while.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("the worker neither answers nor closes: {error}"),
            }
        }
    }

    /// Whether the worker has closed without another word.
    pub fn is_closed(&mut self) -> bool {
        match self.receive() {
            None => true,
            Some(message) => panic!("a closed channel, not {message:?}"),
        }
    }
}
