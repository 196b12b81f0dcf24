//! What the targets share: the schema and the policy of the tests' hostile broker with an entity of every type, the world of two
//! tenants, the grammar of statements, and calls made of bytes.
#![forbid(unsafe_code)]

pub mod scratch;
pub mod journal;
pub mod grammar;
pub mod world;
pub mod ask;
#[cfg(fuzzing)]
pub mod way;
#[cfg(fuzzing)]
pub mod shown;

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

/// The rules of the world of two tenants.
pub const WORLD_RULES: &str = include_str!("../world/acl.yaml");

/// The entities of the world of two tenants.
pub fn world_schema() -> Arc<Schema> {
    let entities = source("entities.yaml", include_str!("../world/entities.yaml"));
    Arc::new(Schema::parse(&[entities]).expect("the world is right").schema)
}

/// Its policy.
pub fn world_policy(schema: &Arc<Schema>) -> Policy {
    Policy::parse(&source("acl.yaml", WORLD_RULES), Arc::clone(schema))
        .expect("the world is right")
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
