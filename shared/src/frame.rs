//! Length-prefixed frames without I/O: bytes in, messages out. Tokio, a thread and the fuzzer drive the same code.
//!
//! A frame is its length in bytes (`u32`, little-endian, without the prefix itself) and one encoded message.

use crate::codec::{self, CodecError, Wire};

const PREFIX_BYTES: usize = 4;
/// What a reader makes room for at once. A peer that announces a large frame gets memory only as its bytes arrive.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why the channel can't go on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The announced length is above the limit, or zero.
    #[error("a frame of {length} bytes; this side takes 1 to {max}")]
    Length {
        /// Announced or written length.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The payload is no message.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Cuts a stream into messages.
pub struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    max: usize,
}

impl FrameReader {
    /// A reader that takes payloads of at most `max` bytes (see `limits`).
    pub fn new(max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            max,
        }
    }

    /// Where the next bytes from the stream go: append to it, then call [`FrameReader::next_message`] until it has no more.
    pub fn space(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        // An idle channel keeps one chunk, not the largest frame it ever saw.
        if self.buffer.is_empty() {
            self.buffer.shrink_to(CHUNK_BYTES);
        }
        self.buffer.reserve(CHUNK_BYTES);
        &mut self.buffer
    }

    /// Whether a part of a frame has arrived whose rest has not. To be asked when [`FrameReader::next_message`] has no more.
    pub fn is_within_frame(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// The next whole message, if one has arrived. After an error the stream has lost its frame borders: close it.
    pub fn next_message<T: Wire>(&mut self) -> Result<Option<T>, FrameError> {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let Some((prefix, rest)) = unread.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let max = self.max;
        let length = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
        if length == 0 || length > max {
            return Err(FrameError::Length { length, max });
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let message = codec::decode(payload)?;
        self.start = self.start.saturating_add(PREFIX_BYTES).saturating_add(length);
        Ok(Some(message))
    }
}

/// Appends one frame to `buffer`; leaves it as it was when the message is longer than `max` bytes.
pub fn write_frame<T: Wire>(message: &T, max: usize, buffer: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = buffer.len();
    let written = append(message, max, start, buffer);
    if written.is_err() {
        buffer.truncate(start);
    }
    written
}

fn append<T: Wire>(message: &T, max: usize, start: usize, buffer: &mut Vec<u8>) -> Result<(), FrameError> {
    buffer.extend_from_slice(&[0; PREFIX_BYTES]);
    codec::encode(message, buffer)?;
    let length = buffer.len().saturating_sub(start).saturating_sub(PREFIX_BYTES);
    let announced = u32::try_from(length).ok().filter(|_| length <= max);
    let announced = announced.ok_or(FrameError::Length { length, max })?;
    if let Some(prefix) = buffer
        .get_mut(start..)
        .and_then(|frame| frame.first_chunk_mut::<PREFIX_BYTES>())
    {
        *prefix = announced.to_le_bytes();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CallId, ColumnId};
    use crate::limits::{FRAME_DEPTH, FRAME_TO_WORKER_BYTES};
    use crate::message::ToWorker;
    use crate::predicate::Predicate;
    use crate::value::Value;
    use proptest::prelude::*;

    fn predicates() -> impl Strategy<Value = Predicate> {
        let leaf = prop_oneof![
            Just(Predicate::True),
            (any::<u16>(), any::<i64>()).prop_map(|(column, value)| Predicate::Between {
                column: ColumnId(column),
                low: Value::Int(value),
                high: Value::Text(value.to_string()),
            }),
            (any::<u16>(), any::<Vec<u8>>()).prop_map(|(column, value)| Predicate::In {
                column: ColumnId(column),
                values: vec![Value::Bytes(value)]
            }),
        ];
        leaf.prop_recursive(6, 64, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Predicate::And),
                inner.prop_map(|predicate| Predicate::Not(Box::new(predicate))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_the_stream_is_cut(predicates in prop::collection::vec(predicates(), 1..5), cut in 1usize..40) {
            let mut stream = Vec::new();
            for predicate in &predicates {
                write_frame(predicate, FRAME_TO_WORKER_BYTES, &mut stream).unwrap();
            }
            let mut reader = FrameReader::new(FRAME_TO_WORKER_BYTES);
            let mut read = Vec::new();
            for piece in stream.chunks(cut) {
                reader.space().extend_from_slice(piece);
                while let Some(predicate) = reader.next_message::<Predicate>().unwrap() {
                    read.push(predicate);
                }
            }
            prop_assert_eq!(read, predicates);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = codec::decode::<ToWorker>(&bytes);
        }
    }

    #[test]
    fn a_frame_that_nests_beyond_the_limit_is_refused_before_the_stack_notices() {
        let mut bomb = vec![11; 1_000_000];
        bomb.push(0);
        assert!(codec::decode::<Predicate>(&bomb).is_err());
        let mut deepest = vec![11; FRAME_DEPTH];
        deepest.push(0);
        assert!(codec::decode::<Predicate>(&deepest).is_ok());
    }

    #[test]
    fn a_length_beyond_the_frame_is_refused_before_it_is_allocated() {
        // `And` of 2^60 items; a text of 2^60 bytes.
        for bytes in [
            [9, 253, 0, 0, 0, 0, 0, 0, 0, 16],
            [5, 253, 0, 0, 0, 0, 0, 0, 0, 16],
        ] {
            assert!(codec::decode::<Predicate>(&bytes).is_err());
        }
    }

    #[test]
    fn wrong_lengths_end_the_stream() {
        for (prefix, is_error) in [(0u32, true), (9, false), (11, true), (u32::MAX, true)] {
            let mut reader = FrameReader::new(10);
            reader.space().extend_from_slice(&prefix.to_le_bytes());
            assert_eq!(reader.next_message::<ToWorker>().is_err(), is_error, "{prefix}");
        }
    }

    #[test]
    fn a_message_above_the_limit_is_not_written() {
        let mut buffer = vec![7];
        let message = Predicate::In {
            column: ColumnId(0),
            values: vec![Value::Bytes(vec![0; 100])],
        };
        assert!(write_frame(&message, 50, &mut buffer).is_err());
        assert_eq!(buffer, [7]);
        assert!(write_frame(&ToWorker::Cancel(CallId(1)), 50, &mut buffer).is_ok());
    }
}
