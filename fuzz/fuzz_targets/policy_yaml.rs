//! A file of rules, and within it the expression language, over a schema that stays the same.
#![no_main]

use std::sync::{Arc, LazyLock};

use dbal_fuzz::source;
use dbal_policy::Policy;
use dbal_schema::Schema;
use libfuzzer_sys::fuzz_target;

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(dbal_fuzz::schema);

fuzz_target!(|text: &str| {
    let parse = |text: &str| Policy::parse(&source("acl.yaml", text), Arc::clone(&SCHEMA));
    let _ = parse(text);
    // As the expression of a rule that is right otherwise: inputs need not find YAML's shape first.
    if !text.contains(['\n', '\r']) {
        let quoted = text.replace('\'', "''");
        let _ = parse(&format!(
            "version: 1\nrules:\n  - {{id: a, entity: Paper, roles: [user], operations: [read, update], rows: '{quoted}', check: '{quoted}'}}\n"
        ));
    }
});
