//! A file of invariants and, within it, its expressions: proven over rules that stay the same, or refused.
#![no_main]

use std::sync::{Arc, LazyLock};

use dbal_fuzz::source;
use dbal_policy::Policy;
use dbal_schema::{Schema, Source};
use libfuzzer_sys::fuzz_target;

static WORLD: LazyLock<(Arc<Schema>, Source)> = LazyLock::new(|| {
    let rules = source("acl.yaml", dbal_fuzz::WORLD_RULES);
    (dbal_fuzz::world_schema(), rules)
});

fuzz_target!(|text: &str| {
    let (schema, rules) = &*WORLD;
    let uphold = |text: &str| {
        let kept = Policy::uphold(rules, Some(&source("invariants.yaml", text)), Arc::clone(schema));
        if let Err(error) = kept {
            assert!(!error.to_string().is_empty());
        }
    };
    uphold(text);
    // As a condition of an invariant that is right otherwise: inputs need not find YAML's shape first.
    if !text.contains(['\n', '\r']) {
        let quoted = text.replace('\'', "''");
        uphold(&format!(
            "version: 1\ninvariants:\n  - {{id: a, within: {{entity: Note, rows: '{quoted}'}}}}\n  - {{id: b, never: {{read: Note, rows: '{quoted}'}}}}\n"
        ));
    }
});
