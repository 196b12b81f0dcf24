//! A file of policy tests: its cases run in memory, or it says what is wrong with it.
#![no_main]

use std::sync::LazyLock;

use dbal_fuzz::source;
use dbal_policy::Policy;
use dbal_review::trial;
use libfuzzer_sys::fuzz_target;

static POLICY: LazyLock<Policy> = LazyLock::new(|| dbal_fuzz::world_policy(&dbal_fuzz::world_schema()));

fuzz_target!(|text: &str| {
    match trial::test(&POLICY, &source("tests.yaml", text)) {
        Ok(tested) => {
            let tested = [tested];
            let _ = (trial::terminal(&tested), trial::junit(&tested));
            let json: serde_json::Value = serde_json::from_str(&trial::json(&tested)).expect("JSON");
            assert!(json.is_object() || json.is_array());
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});
