//! Rows that others refer to and that `restrict` keeps, where those others go with them.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;

use super::{Bench, Ground, Told};
use crate::fixture::{ALICE, Fixture};

const BRANCHES: &str = "
---
entity: Branch
fields:
  id:       {type: integer, primary: true}
  parentId: {type: integer, nullable: true, foreign_key: {entity: Branch, field: id}}
";
const RULES: &str = r#"  - {id: branches, entity: Branch, roles: [admin], operations: [read, list, create, delete], fields: {read: ["*"], write: ["*", id]}, allow_unfiltered: true}
"#;
const ADMIN: (&str, &str) = (ALICE, "admin");

/// A row that refers to itself and is removed; two of which one refers to the other, removed together; and what is left.
pub(in crate::database) fn removed<B: Bench>() -> [Told; 3] {
    let ground = Ground::<B>::of(Fixture::with(BRANCHES, RULES));
    let fixture = &ground.fixture;
    let run = |action| ground.run(ADMIN, "Branch", action);
    let number = |id: i64| Value::Int(id);
    for (id, parent) in [(1, Some(1)), (2, None), (3, Some(2)), (4, None), (5, Some(4))] {
        let parent = parent.map_or(Value::Null, number);
        let create = Action::Create {
            values: fixture.values("Branch", &[("id", number(id)), ("parentId", parent)]),
            projection: fixture.projection("Branch", &["id"]),
        };
        assert_eq!(run(create), Ok(serde_json::json!({"id": id})));
    }
    // One that somebody else refers to stays, in every database.
    let target = fixture.target("Branch", "id", number(4));
    let kept = Err((
        Code::Invalid,
        ground.fault("Branch", "id", Fault::StillReferenced),
    ));
    assert_eq!(run(Action::Delete { target }), kept);
    let target = fixture.target("Branch", "id", number(1));
    let itself = run(Action::Delete { target });
    let two = Predicate::In {
        column: ground.fixture.column("Branch", "id"),
        values: vec![number(2), number(3)],
    };
    let together = run(Action::DeleteMany { filter: two });
    let count = run(Action::Count {
        filter: Predicate::True,
    });
    [itself, together, count]
}

/// What that is where a reference is looked at when the statement has done all it does.
pub(in crate::database) fn they_go_together<B: Bench>() {
    assert_eq!(removed::<B>(), [Ok(true.into()), Ok(2.into()), Ok(2.into())]);
}
