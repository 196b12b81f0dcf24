//! What the worker reads from the broker: a stream of frames, cut anywhere.
#![no_main]

use dbal_shared::codec;
use dbal_shared::frame::FrameReader;
use dbal_shared::limits::FRAME_TO_WORKER_BYTES;
use dbal_shared::message::ToWorker;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // As one payload: most inputs get past the length.
    if let Ok(message) = codec::decode::<ToWorker>(bytes) {
        let mut again = Vec::new();
        codec::encode(&message, &mut again).expect("what was read can be written");
        // Numbers may be written longer than they need be; reading what was written gives the same message again.
        let read = codec::decode::<ToWorker>(&again).expect("what was written can be read");
        let mut twice = Vec::new();
        codec::encode(&read, &mut twice).expect("what was read can be written");
        assert_eq!(again, twice);
    }
    let mut reader = FrameReader::new(FRAME_TO_WORKER_BYTES);
    for piece in bytes.chunks(7) {
        reader.space().extend_from_slice(piece);
        loop {
            match reader.next_message::<ToWorker>() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
