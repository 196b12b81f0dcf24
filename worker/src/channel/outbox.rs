//! The writing half of a channel: everything that is ready goes out in one write, after its audit records.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dbal_shared::fault::Code;
use dbal_shared::frame::write_frame;
use dbal_shared::ids::CallId;
use dbal_shared::limits::FRAME_TO_BROKER_BYTES;
use dbal_shared::message::{Advice, Answer, Failure, ToBroker};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::job::Outgoing;
use crate::ledger::{Ledger, unwritten};

/// Most messages of one write.
const BATCH: usize = 256;
/// What is gathered for one write, in bytes, and the buffer that is kept between writes: a burst of long answers is neither
/// held twice nor paid for ever after.
const BUFFER_BYTES: usize = 256 * 1024;
/// A broker that takes nothing for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes until every sender is gone or the broker takes no more.
pub(super) async fn drain(
    mut outgoing: mpsc::Receiver<Outgoing>,
    mut stream: impl AsyncWrite + Unpin,
    waiting_bytes: Arc<AtomicUsize>,
    ledger: Arc<Ledger>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut buffer = Vec::new();
    'open: while outgoing.recv_many(&mut batch, BATCH).await > 0 {
        // INVARIANT (Ledger::flush): records were appended before their answers came here; no answer leaves before the
        // kernel has them.
        let flushed = ledger.flush();
        for message in batch.drain(..) {
            put(message, flushed.is_ok(), &waiting_bytes, &mut buffer);
            if buffer.len() >= BUFFER_BYTES && !write(&mut stream, &mut buffer).await {
                break 'open;
            }
        }
        if !write(&mut stream, &mut buffer).await {
            break;
        }
    }
    // Calls that still run write their records when they end; see to it that those reach the kernel too.
    let _ = stream.shutdown().await;
    outgoing.close();
    while outgoing.recv().await.is_some() {}
    let _ = ledger.flush();
}

/// Writes what was gathered. Whether the broker takes more.
async fn write(stream: &mut (impl AsyncWrite + Unpin), buffer: &mut Vec<u8>) -> bool {
    let written = tokio::time::timeout(PATIENCE, stream.write_all(buffer)).await;
    buffer.clear();
    buffer.shrink_to(BUFFER_BYTES);
    match written {
        Ok(Ok(())) => true,
        // The broker is gone, or as good as gone. The reading half sees the end of the stream.
        Ok(Err(error)) => {
            tracing::debug!(%error, "the broker takes no more answers");
            false
        }
        Err(_) => {
            tracing::error!(
                "the broker took nothing for {} s and is cut off",
                PATIENCE.as_secs()
            );
            false
        }
    }
}

fn put(message: Outgoing, is_recorded: bool, waiting_bytes: &AtomicUsize, buffer: &mut Vec<u8>) {
    let message = match message {
        Outgoing::Message(message) => message,
        Outgoing::Answer { answer, is_write } => {
            let Answer { call, outcome } = answer;
            let bytes = outcome.as_ref().map_or(0, |reply| reply.json.len());
            waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let is_done = is_write && outcome.is_ok();
            let outcome = if is_recorded {
                outcome
            } else {
                Err(unwritten(is_done))
            };
            let answer = ToBroker::Answer(Answer { call, outcome });
            if let Err(error) = write_frame(&answer, FRAME_TO_BROKER_BYTES, buffer) {
                tracing::error!(%error, "an answer does not fit its frame");
                put_failure(call, is_done, buffer);
            }
            return;
        }
    };
    if let Err(error) = write_frame(&message, FRAME_TO_BROKER_BYTES, buffer) {
        tracing::error!(%error, "a message does not fit its frame");
    }
}

/// An answer that is always short enough.
fn put_failure(call: CallId, is_done: bool, buffer: &mut Vec<u8>) {
    let advice = if is_done {
        Advice::OutcomeUnknown
    } else {
        Advice::Final
    };
    let outcome = Err(Failure {
        code: Code::Internal,
        fields: Vec::new(),
        advice,
        at: None,
    });
    // The buffer stays as it was when even this fails; the call then ends by its deadline.
    let _ = write_frame(
        &ToBroker::Answer(Answer { call, outcome }),
        FRAME_TO_BROKER_BYTES,
        buffer,
    );
}
