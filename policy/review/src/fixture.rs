//! A policy for tests, from texts.

use std::sync::Arc;

use dbal_policy::Policy;
use dbal_schema::{Schema, Source};

/// The policy; its files are called `entities.yaml` and `acl.yaml`.
pub(crate) fn policy(entities: &str, rules: &str) -> Policy {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let schema = Schema::parse(&[source("entities.yaml", entities)]).unwrap();
    Policy::parse(&source("acl.yaml", rules), Arc::new(schema.schema))
        .unwrap()
        .policy
}
