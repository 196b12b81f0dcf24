//! Matrices for tests.

use std::sync::Arc;

use dbal_policy::Policy;
use dbal_review::matrix::{EntityRights, Matrix};
use dbal_schema::{Schema, Source};

/// A small one.
pub(super) fn matrix() -> Matrix {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let entities = "{entity: Note, fields: {id: {type: uuid}, ownerId: {type: uuid}, text: {type: text}}}\n---\n\
                    {entity: Journal, fields: {id: {type: uuid}}}\n";
    let rules = "\
version: 1
roles: {user: {}, admin: {}}
rules:
  - {id: own, entity: Note, roles: [user], operations: [\"*\"], rows: \"ownerId = $user.id\"}
  - {id: all, entity: Note, roles: [admin], operations: [\"*\"]}
  - {id: long, entity: Journal, roles: [user], operations: [read], rows: \"id IN ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b')\"}
";
    let schema = Schema::parse(&[source("entities.yaml", entities)])
        .unwrap()
        .schema;
    let loaded = Policy::parse(&source("acl.yaml", rules), Arc::new(schema)).unwrap();
    Matrix::new(&loaded.policy)
}

/// One whose texts try to become markup.
pub(super) fn hostile() -> Matrix {
    let evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"|`*_";
    let mut matrix = matrix();
    matrix.hash = evil.to_owned();
    matrix.roles.iter_mut().for_each(|role| *role = evil.to_owned());
    for EntityRights {
        name,
        description,
        roles,
    } in &mut matrix.entities
    {
        *name = evil.to_owned();
        *description = Some(evil.to_owned());
        for rights in roles {
            rights.role = evil.to_owned();
            for way in rights.operations.iter_mut().flat_map(|cell| &mut cell.ways) {
                way.rule = evil.to_owned();
                way.rows = Some(evil.to_owned());
                way.fields = Some(evil.to_owned());
                way.through = Some(evil.to_owned());
                way.forced = vec![evil.to_owned()];
            }
        }
    }
    matrix
}
