//! What the renderer writes: a table that people can read, and that no value ever gets into it.

use std::sync::Arc;

use dbal_policy::Policy;
use dbal_schema::{Entity, Schema, Source};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Assignment, Direction, Page, Plan, SortKey, Target, Total};
use dbal_shared::predicate::{Case, Comparison, Predicate, TextPosition};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use proptest::prelude::*;

use crate::steps::{Bulk, Select, Update, Write};
use crate::{Generate, SQLITE, Statement, Steps, ValidPlan};

const ENTITIES: &str = r"
entity: Author
fields:
  id:   {type: integer, primary: true}
  name: {type: string, unique: true, required: true}
---
entity: Book
table: 'the \'
fields:
  id:       {type: integer, primary: true}
  authorId: {type: integer, required: true, column: 'author', foreign_key: {entity: Author, field: id, on_delete: cascade}}
  title:    {type: string, required: true, max_length: 40}
  price:    {type: decimal, nullable: true}
  isbn:     {type: string, nullable: true, unique: true}
  secret:   {type: string, nullable: true}
  changed:  {type: bigint, auto_update: true}
";

const RULES: &str = r#"
version: 1
roles: {writer: {}, reader: {}}
rules:
  - id: own
    entity: Book
    roles: [writer]
    operations: [read, list, create, update, delete]
    rows: "authorId = $user.id"
    fields: {read: ["*"], write: ["*", id]}
    allow_unfiltered: true
  - {id: others, entity: Book, roles: [reader], operations: [read, list], rows: "title != 'hidden'", fields: {read: [id, title, price]}}
limits:
  writer: {max_complexity: 100000, max_rows: 1000}
"#;

struct Fixture {
    schema: Arc<Schema>,
    policy: Policy,
}

struct Fixed;

impl Generate for Fixed {
    fn uuid(&mut self) -> [u8; 16] {
        [7; 16]
    }
    fn cuid(&mut self) -> String {
        "cuid".to_owned()
    }
    fn now_ms(&self) -> i64 {
        5
    }
}

impl Fixture {
    fn new() -> Self {
        let source = |text: &str| Source {
            name: "test.yaml".to_owned(),
            text: text.to_owned(),
        };
        let entities = ENTITIES.replace("'the \\'", "'the \"books\"'");
        let schema = Arc::new(Schema::parse(&[source(&entities)]).unwrap().schema);
        let policy = Policy::parse(&source(RULES), Arc::clone(&schema)).unwrap().policy;
        Self { schema, policy }
    }

    fn book(&self) -> &Entity {
        self.schema.by_name("Book").unwrap()
    }

    fn column(&self, name: &str) -> ColumnId {
        self.book().column_by_name(name).unwrap().id
    }

    fn plan(&self, roles: &[&str], action: Action) -> ValidPlan {
        let subject = self.policy.subject(&Principal {
            id: Some("1".to_owned()),
            roles: roles.iter().map(ToString::to_string).collect(),
            ..Principal::default()
        });
        let entity = self.book().id;
        let grant = self.policy.decide(&subject, Plan { entity, action }).unwrap();
        ValidPlan::of_grant(grant, &self.schema, &mut Fixed).unwrap()
    }

    fn values(&self, values: &[(&str, Value)]) -> Vec<Assignment> {
        let one = |(name, value): &(&str, Value)| Assignment {
            column: self.column(name),
            value: value.clone(),
        };
        values.iter().map(one).collect()
    }

    fn target(&self) -> Target {
        Target {
            column: self.column("isbn"),
            value: text("MARKER"),
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// All statements of a plan, and how many parameters each has.
fn statements(plan: &ValidPlan) -> Vec<(String, usize)> {
    let steps = Steps::of_plan(plan, &SQLITE).unwrap();
    let mut all: Vec<&Statement> = Vec::new();
    match &steps {
        Steps::Read(Select { statement, .. })
        | Steps::FindFirst(Select { statement, .. })
        | Steps::Count(statement)
        | Steps::Delete(statement)
        | Steps::Create(Write { statement, .. }) => all.push(statement),
        Steps::List { rows, count, .. } => {
            all.push(&rows.statement);
            all.extend(count);
        }
        Steps::CreateMany(rows) => all.extend(rows.iter().map(|row| &row.statement)),
        Steps::Update(Update { write, reach }) => all.extend([&write.statement, reach]),
        Steps::UpdateMany(Bulk { survey, write, .. }) | Steps::DeleteMany(Bulk { survey, write, .. }) => {
            all.extend([survey, write]);
        }
        Steps::Upsert { update, create } => {
            all.extend([&update.write.statement, &update.reach, &create.statement]);
        }
    }
    all.iter()
        .map(|one| (one.sql().to_owned(), one.parameters().len()))
        .collect()
}

fn sql(plan: &ValidPlan) -> Vec<String> {
    statements(plan).into_iter().map(|(sql, _)| sql).collect()
}

const T: &str = r#""the ""books""""#;

/// `T` for the table, so that the lines stay readable.
fn shown(plan: &ValidPlan) -> Vec<String> {
    sql(plan).iter().map(|sql| sql.replace(T, "T")).collect()
}

#[test]
fn each_action_has_its_statements() {
    let fixture = Fixture::new();
    let projection = vec![fixture.column("title"), fixture.column("price")];
    let own = |action| shown(&fixture.plan(&["writer"], action));
    let target = || fixture.target();
    let title = || fixture.values(&[("title", text("MARKER"))]);

    assert_eq!(
        own(Action::Read {
            target: target(),
            projection: projection.clone()
        }),
        [r#"SELECT T."title", T."price" FROM T WHERE (T."isbn" = ?) AND (T."author" = ?)"#]
    );
    assert_eq!(
        own(Action::Count {
            filter: Predicate::True
        }),
        [r#"SELECT COUNT(*) FROM T WHERE (TRUE) AND (T."author" = ?)"#]
    );
    assert_eq!(
        own(Action::List {
            filter: Predicate::IsNull {
                column: fixture.column("price")
            },
            order: vec![SortKey {
                column: fixture.column("price"),
                direction: Direction::Descending
            }],
            page: Page { number: 2, limit: 10 },
            total: Total::Counted,
            projection: projection.clone(),
        }),
        [
            r#"SELECT T."title", T."price" FROM T WHERE (T."price" IS NULL) AND (T."author" = ?) ORDER BY T."price" COLLATE dbal_decimal DESC, T."id" ASC LIMIT ? OFFSET ?"#,
            r#"SELECT COUNT(*) FROM T WHERE (T."price" IS NULL) AND (T."author" = ?)"#,
        ]
    );
    let row = [
        ("id", Value::Int(1)),
        ("authorId", Value::Int(1)),
        ("title", text("MARKER")),
    ];
    assert_eq!(
        own(Action::Create {
            values: fixture.values(&row),
            projection: projection.clone()
        }),
        [
            r#"INSERT INTO T ("id", "author", "title", "price", "isbn", "secret", "changed") SELECT ?, ?, ?, ?, ?, ?, ? WHERE ? = ? RETURNING (T."author" = ?) IS TRUE, (T."author" = ?) IS TRUE, T."title", T."price""#
        ]
    );
    assert_eq!(
        own(Action::Update {
            target: target(),
            values: title(),
            projection
        }),
        [
            r#"UPDATE T SET "title" = ?, "changed" = ? WHERE (T."isbn" = ?) AND ((((T."author" = ?) AND (T."author" = ?))) AND (T."author" = ?)) RETURNING (((T."author" = ?))) IS TRUE, (T."author" = ?) IS TRUE, T."title", T."price""#,
            r#"SELECT 1 FROM T WHERE (T."isbn" = ?) AND ((((T."author" = ?) AND (T."author" = ?))))"#,
        ]
    );
    assert_eq!(
        own(Action::UpdateMany {
            filter: Predicate::True,
            values: title()
        }),
        [
            r#"SELECT (((T."author" = ?) AND (T."author" = ?))) IS TRUE FROM T WHERE (TRUE) AND ((T."author" = ?)) LIMIT ?"#,
            r#"UPDATE T SET "title" = ?, "changed" = ? WHERE (TRUE) AND ((T."author" = ?) AND (T."author" = ?)) RETURNING (((T."author" = ?))) IS TRUE"#,
        ]
    );
    assert_eq!(
        own(Action::Delete { target: target() }),
        [
            r#"DELETE FROM T WHERE (T."isbn" = ?) AND ((((T."author" = ?) AND (T."author" = ?))) AND (TRUE)) RETURNING TRUE"#
        ]
    );
}

#[test]
fn a_written_column_stands_in_a_condition_as_its_new_value() {
    let fixture = Fixture::new();
    let action = Action::Update {
        target: fixture.target(),
        values: fixture.values(&[("authorId", Value::Int(2))]),
        projection: Vec::new(),
    };
    let plan = fixture.plan(&["writer"], action);
    assert_eq!(
        shown(&plan)[0],
        r#"UPDATE T SET "author" = ?, "changed" = ? WHERE (T."isbn" = ?) AND ((((T."author" = ?) AND (T."author" = ?))) AND (? = ?)) RETURNING (((T."author" = ?))) IS TRUE, (FALSE) IS TRUE"#
    );
}

#[test]
fn a_masked_column_leaves_the_database_only_where_it_is_shown() {
    let fixture = Fixture::new();
    let action = Action::FindFirst {
        filter: Predicate::True,
        order: Vec::new(),
        projection: vec![fixture.column("title"), fixture.column("secret")],
    };
    let plan = fixture.plan(&["writer", "reader"], action);
    let sql = shown(&plan);
    assert!(
        sql[0].starts_with(
            r#"SELECT T."title", (T."author" = ?) IS TRUE, CASE WHEN T."author" = ? THEN T."secret" END FROM T"#
        ),
        "{sql:?}"
    );
}

#[test]
fn tables_have_keys_references_and_indexes() {
    let fixture = Fixture::new();
    let tables = crate::ddl::create_tables(&fixture.schema, &SQLITE).unwrap();
    let sql: Vec<String> = tables.iter().map(|one| one.sql().replace(T, "T")).collect();
    assert_eq!(
        sql,
        [
            r#"CREATE TABLE IF NOT EXISTS "Author" ("id" INTEGER PRIMARY KEY NOT NULL, "name" TEXT NOT NULL UNIQUE) STRICT"#,
            r#"CREATE TABLE IF NOT EXISTS T ("id" INTEGER PRIMARY KEY NOT NULL, "author" INTEGER NOT NULL REFERENCES "Author" ("id") ON DELETE CASCADE, "title" TEXT NOT NULL, "price" TEXT COLLATE dbal_decimal, "isbn" TEXT UNIQUE, "secret" TEXT, "changed" INTEGER NOT NULL) STRICT"#,
            r#"CREATE INDEX IF NOT EXISTS "the ""books""_author_index" ON T ("author")"#,
        ]
    );
}

fn filters() -> impl Strategy<Value = Predicate> {
    let marker = any::<u16>().prop_map(|n| format!("MARKER{n}'\"--;/*"));
    let column = prop::sample::select(vec![ColumnId(2), ColumnId(4)]);
    let leaf = (column, marker, 0..4_u8).prop_map(|(column, marker, kind)| match kind {
        0 => Predicate::Compare {
            column,
            op: Comparison::Eq,
            value: Value::Text(marker),
        },
        1 => Predicate::In {
            column,
            values: vec![Value::Text(marker)],
        },
        2 => Predicate::Between {
            column,
            low: Value::Text(marker.clone()),
            high: Value::Text(marker),
        },
        _ => Predicate::Matches {
            column,
            position: TextPosition::EndsWith,
            text: marker,
            case: Case::Insensitive,
        },
    });
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Predicate::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Predicate::Or),
            inner.prop_map(|one| Predicate::Not(Box::new(one))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_gets_into_the_text_and_every_placeholder_has_one(filter in filters(), marker in "MARKER[a-z'\"\\\\;-]{0,9}") {
        let fixture = Fixture::new();
        let values = fixture.values(&[("title", Value::Text(marker.clone()))]);
        let row = fixture.values(&[
            ("id", Value::Int(777_777)), ("authorId", Value::Int(1)), ("title", Value::Text(marker)), ("isbn", text("MARKER")),
        ]);
        let projection = vec![fixture.column("title"), fixture.column("secret")];
        let order = vec![SortKey { column: fixture.column("title"), direction: Direction::Ascending }];
        let page = Page { number: 778, limit: 779 };
        let target = fixture.target();
        for action in [
            Action::Read { target: target.clone(), projection: projection.clone() },
            Action::FindFirst { filter: filter.clone(), order: order.clone(), projection: projection.clone() },
            Action::List { filter: filter.clone(), order, page, total: Total::Counted, projection: projection.clone() },
            Action::Count { filter: filter.clone() },
            Action::Create { values: row.clone(), projection: projection.clone() },
            Action::CreateMany { rows: vec![row.clone()] },
            Action::Update { target: target.clone(), values: values.clone(), projection: projection.clone() },
            Action::UpdateMany { filter: filter.clone(), values: values.clone() },
            Action::Delete { target: target.clone() },
            Action::DeleteMany { filter: filter.clone() },
            Action::Upsert { target, create: row, update: values, projection },
        ] {
            let plan = fixture.plan(&["writer"], action);
            for (sql, parameters) in statements(&plan) {
                prop_assert!(!sql.contains("MARKER") && !sql.contains("77"), "{}", sql);
                prop_assert_eq!(sql.matches('?').count(), parameters, "{}", sql);
            }
        }
    }
}
