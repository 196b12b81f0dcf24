//! What answers in a daemon's place to `dbal call`, and what a database's tables are called in `dbal schema introspect`: laid out for
//! people, it means the same and a terminal obeys nothing in it.
#![no_main]

use dbal::fuzzed::{Shown, of_an_answer};
use dbal_fuzz::shown::hold;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let shown = of_an_answer(text);
    hold(&shown);
    if let (Shown::Lines(laid_out, _), Ok(value)) = (shown, serde_json::from_str::<Value>(text)) {
        let again: Value = serde_json::from_str(&laid_out).expect("it is JSON");
        assert!(again == value, "{laid_out}");
    }
});
