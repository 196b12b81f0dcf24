//! A file of rules, and within it the expression language, over a schema that stays the same.
#![no_main]

use std::sync::{Arc, LazyLock};

use dbal_policy::Policy;
use dbal_schema::{Schema, Source};
use libfuzzer_sys::fuzz_target;

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let text = include_str!("../schema.yaml").to_owned();
    let source = Source {
        name: "schema.yaml".to_owned(),
        text,
    };
    Arc::new(
        Schema::parse(&[source])
            .expect("the fuzzer's schema is right")
            .schema,
    )
});

fuzz_target!(|text: &str| {
    let parse = |text: String| {
        Policy::parse(
            &Source {
                name: "acl.yaml".to_owned(),
                text,
            },
            Arc::clone(&SCHEMA),
        )
    };
    let _ = parse(text.to_owned());
    // As the expression of a rule that is right otherwise: inputs need not find YAML's shape first.
    if !text.contains(['\n', '\r']) {
        let quoted = text.replace('\'', "''");
        let _ = parse(format!(
            "version: 1\nrules:\n  - {{id: a, entity: Paper, roles: [user], operations: [read, update], rows: '{quoted}', check: '{quoted}'}}\n"
        ));
    }
});
