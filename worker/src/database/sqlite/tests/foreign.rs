//! Tables of others, whose columns hold different texts equal: a rule's condition must not.

use dbal_shared::fault::Code;
use dbal_shared::plan::{Action, Direction, Function, Measure, SortKey, Total};
use dbal_shared::predicate::{Case, Comparison, Link, Predicate, Quantifier, TextPosition};
use dbal_shared::value::Value;
use rusqlite::Connection;

use super::super::open::Connections;
use super::super::session;
use crate::database::compare::{Weight, compare};
use crate::database::sqlite::catalog::catalog;
use crate::database::trouble::Trouble;
use crate::fixture::{Fixture, json, text};

const ENTITIES: &str = "
---
entity: Person
fields:
  id:   {type: bigint, primary: true}
  name: {type: string, required: true, unique: true}
---
entity: Paper
fields:
  id:      {type: bigint, primary: true}
  ownerId: {type: string, required: true, foreign_key: {entity: Person, field: name}}
  tenant:  {type: string, required: true}
  badge:   {type: string, required: true}
  title:   {type: text, required: true}
";

const RULES: &str = "  - {id: persons, entity: Person, roles: [admin], operations: [list, create], fields: {read: ['*'], write: ['*', id]}}
  - {id: papers, entity: Paper, roles: [admin], operations: [list, update, create], fields: {read: ['*'], write: ['*', id]}}
  - {id: by-owner, entity: Paper, roles: [user], operations: [list, update, delete], rows: 'ownerId = $user.id', fields: {read: [id]}}
  - {id: by-list, entity: Paper, roles: [editor], operations: [list], rows: 'ownerId IN ($user.id)', fields: {read: [id]}}
  - {id: by-tenant, entity: Paper, roles: [guest], operations: [list], rows: 'tenant = $user.id', fields: {read: [id]}}
  - {id: by-person, entity: Paper, roles: [editor], operations: [delete], rows: 'owner.name = $user.id'}
";

/// As others make tables: names without case, tenants without trailing blanks, badges in a column of numbers.
const TABLES: &str = r#"
CREATE TABLE "Person" (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE "Paper" (
  id INTEGER PRIMARY KEY,
  ownerId VARCHAR(40) COLLATE NOCASE NOT NULL REFERENCES "Person" (name),
  tenant TEXT NOT NULL COLLATE RTRIM,
  badge NUMERIC NOT NULL,
  title TEXT NOT NULL
);
INSERT INTO "Person" VALUES (1, 'alice'), (2, 'Alice');
INSERT INTO "Paper" VALUES (1, 'alice', 'acme', '007', 'B'), (2, 'Alice', 'acme ', '7', 'a');
"#;

struct World {
    fixture: Fixture,
    connections: Connections,
}

impl World {
    fn new() -> Self {
        let rules = RULES.replace('\'', "\"");
        let fixture = Fixture::with(ENTITIES, &rules);
        let others = Connection::open(fixture.folder.path().join("test.sqlite")).unwrap();
        others.execute_batch(TABLES).unwrap();
        let connections = fixture.open();
        Self { fixture, connections }
    }

    fn run(&self, caller: (&str, &str), action: Action) -> Result<serde_json::Value, Code> {
        let Connections { writer, dialect, .. } = &self.connections;
        let plan = self.fixture.plan(caller, "Paper", action);
        let outcome = if plan.action().is_write() {
            session::write(writer, dialect, &plan)
        } else {
            session::read(writer, dialect, &plan)
        };
        let outcome = outcome.map_err(Trouble::into_refusal);
        outcome
            .map(|reply| json(&reply))
            .map_err(|refusal| refusal.failure.code)
    }

    /// What a caller's rule shows.
    fn seen(&self, role: &str, id: &str) -> Vec<u64> {
        let list = self.fixture.list("Paper", Predicate::True, &["id"]);
        ids(&self.run((id, role), list).unwrap())
    }

    fn found(&self, filter: Predicate) -> Vec<u64> {
        ids(&self
            .run(("1", "admin"), self.fixture.list("Paper", filter, &["id"]))
            .unwrap())
    }

    fn eq(&self, name: &str, value: &str) -> Predicate {
        self.fixture.eq("Paper", name, text(value))
    }
}

fn ids(list: &serde_json::Value) -> Vec<u64> {
    let rows = list["data"].as_array().unwrap();
    rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

#[test]
fn a_row_belongs_to_nobody_whose_id_its_column_only_holds_equal() {
    let world = World::new();
    for role in ["user", "editor"] {
        assert_eq!(world.seen(role, "alice"), [1], "{role}");
        assert_eq!(world.seen(role, "Alice"), [2], "{role}");
        assert_eq!(world.seen(role, "ALICE"), [0; 0], "{role}");
    }
    assert_eq!(world.seen("guest", "acme"), [1]);
    assert_eq!(world.seen("guest", "acme "), [2]);
    assert_eq!(world.seen("guest", "acme  "), [0; 0]);
    let delete = |id| Action::Delete {
        target: world.fixture.target("Paper", "id", Value::Int(id)),
    };
    for (id, role, is_done) in [
        ("ALICE", "user", false),
        ("ALICE", "editor", false),
        ("alice", "user", true),
        ("Alice", "editor", false),
    ] {
        assert_eq!(
            world.run((id, role), delete(1)),
            Ok(is_done.into()),
            "{id} {role}"
        );
    }
    let rest = "SELECT COUNT(*) FROM \"Paper\"";
    let rest: i64 = world
        .connections
        .writer
        .query_row(rest, [], |row| row.get(0))
        .unwrap();
    assert_eq!(rest, 1);
}

#[test]
fn what_is_asked_of_texts_of_others_is_asked_by_code_point() {
    let world = World::new();
    let owner = world.fixture.column("Paper", "ownerId");
    let compare = |op, value: &str| Predicate::Compare {
        column: owner,
        op,
        value: text(value),
    };
    assert_eq!(world.found(world.eq("ownerId", "ALICE")), [0; 0]);
    // SQLite has made the number 7 of both badges, so no other text is one of them.
    assert_eq!(world.found(world.eq("badge", "7")), [1, 2]);
    for other in ["007", "7.0", "7e0", " 7"] {
        assert_eq!(world.found(world.eq("badge", other)), [0; 0], "{other:?}");
    }
    assert_eq!(world.found(compare(Comparison::Ne, "alice")), [2]);
    assert_eq!(world.found(compare(Comparison::Lt, "a")), [2]);
    let among = Predicate::In {
        column: owner,
        values: vec![text("ALICE"), text("Alice")],
    };
    assert_eq!(world.found(among.clone()), [2]);
    assert_eq!(world.found(Predicate::Not(Box::new(among))), [1]);
    for position in [
        TextPosition::StartsWith,
        TextPosition::EndsWith,
        TextPosition::Contains,
        TextPosition::Whole,
    ] {
        let matches = |part: &str, case| Predicate::Matches {
            column: owner,
            position,
            text: part.to_owned(),
            case,
        };
        assert_eq!(
            world.found(matches("alice", Case::Sensitive)),
            [1],
            "{position:?}"
        );
        assert_eq!(
            world.found(matches("ALICE", Case::Insensitive)),
            [1, 2],
            "{position:?}"
        );
    }
    // Linked rows are those of the very name.
    let linked = Predicate::Related {
        link: Link {
            column: owner,
            entity: world.fixture.entity("Person").id,
            foreign: world.fixture.column("Person", "name"),
        },
        quantifier: Quantifier::Some,
        within: Box::new(Predicate::True),
        predicate: Box::new(world.fixture.eq("Person", "id", Value::Int(1))),
    };
    assert_eq!(world.found(linked), [1]);
    let Action::List {
        filter,
        page,
        total,
        projection,
        ..
    } = world.fixture.list("Paper", Predicate::True, &["id"])
    else {
        panic!("a list")
    };
    let by_owner = Action::List {
        filter,
        order: vec![SortKey {
            column: owner,
            direction: Direction::Descending,
        }],
        page,
        total,
        projection,
        includes: Vec::new(),
        cursor: None,
    };
    assert_eq!(ids(&world.run(("1", "admin"), by_owner).unwrap()), [1, 2]);
    let groups = Action::Aggregate {
        filter: Predicate::True,
        groups: vec![owner],
        count: Total::Counted,
        measures: vec![Measure {
            function: Function::Max,
            column: owner,
        }],
        limit: 10,
    };
    let groups = world.run(("1", "admin"), groups).unwrap();
    assert_eq!(groups["data"].as_array().unwrap().len(), 2, "{groups}");
}

#[test]
fn a_column_that_holds_different_texts_for_one_is_told() {
    let world = World::new();
    let findings = compare(
        world.fixture.policy.schema(),
        &catalog(&world.connections.writer).unwrap(),
    );
    let told = |field: &str| {
        let mut findings = findings.iter();
        findings.any(|finding| {
            finding.entity == "Paper"
                && finding.field.as_deref() == Some(field)
                && finding.weight == Weight::Matters
                && finding.what.contains("NOCASE")
        })
    };
    assert!(told("ownerId"), "{findings:?}");
    assert!(!told("title"));
}
