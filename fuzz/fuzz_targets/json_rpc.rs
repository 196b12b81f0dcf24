//! A client's text message: both dialects, agreed on beforehand or not, alone and in batches. What can't be understood is answered
//! with one JSON value under the id that it had, if it had one.
#![no_main]

use dbal_broker::respond;
use dbal_broker::rpc::{Dialect, Message, Unanswerable};
use dbal_shared::limits::BATCH_CALLS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for agreed in [None, Some(Dialect::Native), Some(Dialect::JsonRpc)] {
        match Message::parse(text, agreed) {
            Ok(Message::One(request)) => {
                if let Some(id) = &request.id {
                    let answer = respond::result(request.dialect, id, "null");
                    let value: serde_json::Value = serde_json::from_str(&answer).expect("an answer is JSON");
                    let own: serde_json::Value = serde_json::from_str(id.as_json()).expect("an id is JSON");
                    assert_eq!(value.get("id"), Some(&own));
                }
            }
            Ok(Message::Batch(parts)) => {
                assert!((1..=BATCH_CALLS).contains(&parts.len()));
                parts.iter().filter_map(|part| part.as_ref().err()).for_each(told);
            }
            Err(refused) => told(&refused),
        }
    }
});

fn told(refused: &Unanswerable) {
    let text = respond::error(refused.dialect, &refused.id, &refused.refusal);
    assert!(
        !refused.id.as_json().contains('\n'),
        "an id goes back as one JSON value"
    );
    let value: serde_json::Value = serde_json::from_str(&text).expect("an answer is JSON");
    assert!(
        value.get("error").is_some() && value.get("id").is_some(),
        "{text}"
    );
}
