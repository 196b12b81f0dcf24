//! A client's text message: both dialects, alone and in batches.
#![no_main]

use dbal_broker::rpc::Message;
use dbal_shared::limits::BATCH_CALLS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let id = |json: &str| {
        assert!(
            !json.is_empty() && !json.contains('\n'),
            "an id goes back as one JSON value"
        )
    };
    match Message::parse(text, None) {
        Ok(Message::One(request)) => drop(request),
        Ok(Message::Batch(parts)) => {
            assert!((1..=BATCH_CALLS).contains(&parts.len()));
            for refused in parts.iter().filter_map(|part| part.as_ref().err()) {
                id(refused.id.as_json());
            }
        }
        Err(refused) => id(refused.id.as_json()),
    }
});
