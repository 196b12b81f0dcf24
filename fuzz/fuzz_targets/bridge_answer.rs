//! What a Prisma bridge answers: a status (by the first byte) and JSON. Cells are of their types or none, and a refusal says nothing that could break a log.
#![no_main]

use std::sync::{Arc, LazyLock};

use dbal_schema::{Schema, json_text};
use dbal_worker::database::prisma::fuzzed::answer;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(dbal_fuzz::world_schema);

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else {
        return;
    };
    let is_query = first & 1 == 1;
    let status = match first % 8 {
        0..=4 => 200,
        5 => 422,
        6 => 503,
        _ => 204,
    };
    for entity in SCHEMA.entities() {
        match answer(status, body, is_query, entity) {
            Ok(cells) => {
                for cell in cells {
                    let mut json = String::new();
                    json_text::push_plain(&cell, &mut json);
                    // As deep as it likes: it is handed on and not read.
                    let written: Result<IgnoredAny, _> = serde_json::from_str(&json);
                    assert!(written.is_ok(), "{json}");
                }
            }
            Err(refusal) => assert!(refusal.detail.len() < 1_024, "{}", refusal.detail),
        }
    }
});
