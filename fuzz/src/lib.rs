//! The schema and the policy that the targets share: those of the tests' hostile broker, and an entity of every type.
#![forbid(unsafe_code)]

use std::sync::Arc;

use dbal_policy::Policy;
use dbal_schema::{Schema, Source};
use dbal_shared::principal::Principal;

/// The entities.
pub fn schema() -> Arc<Schema> {
    let sources = [
        source("everything.yaml", include_str!("../everything.yaml")),
        source(
            "paper.yaml",
            include_str!("../../tests/fixtures/entities/paper.yaml"),
        ),
        source(
            "user.yaml",
            include_str!("../../tests/fixtures/entities/user.yaml"),
        ),
    ];
    Arc::new(Schema::parse(&sources).expect("the fixtures are right").schema)
}

/// The rules.
pub fn policy(schema: &Arc<Schema>) -> Policy {
    let rules = source("acl.yaml", include_str!("../../tests/fixtures/acl.yaml"));
    Policy::parse(&rules, Arc::clone(schema))
        .expect("the fixtures are right")
        .policy
}

/// Who asks.
pub fn alice() -> Principal {
    Principal {
        id: Some("0199a000-0000-7000-8000-00000000000a".to_owned()),
        roles: vec!["user".to_owned()],
        ..Principal::default()
    }
}

/// A file that is none.
pub fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}
