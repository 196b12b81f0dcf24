//! An entity file: what loads must also render and hash, what doesn't must say why.
#![no_main]

use dbal_schema::{Schema, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source {
        name: "fuzz.yaml".to_owned(),
        text: text.to_owned(),
    };
    match Schema::parse(&[source]) {
        Ok(loaded) => {
            for entity in loaded.schema.entities() {
                assert!(entity.column(entity.key).is_some(), "every entity has its key");
            }
            let _ = loaded.schema.hash();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
