//! What the broker reads from the worker: a stream of frames, cut anywhere.
#![no_main]

use dbal_shared::codec;
use dbal_shared::frame::FrameReader;
use dbal_shared::limits::FRAME_TO_BROKER_BYTES;
use dbal_shared::message::ToBroker;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = codec::decode::<ToBroker>(bytes) {
        let mut again = Vec::new();
        codec::encode(&message, &mut again).expect("what was read can be written");
        let mut twice = Vec::new();
        let read = codec::decode::<ToBroker>(&again).expect("what was written can be read");
        codec::encode(&read, &mut twice).expect("what was read can be written");
        // Bytes, not values: a NaN is not equal to itself.
        assert_eq!(again, twice);
    }
    let mut reader = FrameReader::new(FRAME_TO_BROKER_BYTES);
    for piece in bytes.chunks(7) {
        reader.space().extend_from_slice(piece);
        while let Ok(Some(_)) = reader.next_message::<ToBroker>() {}
    }
});
