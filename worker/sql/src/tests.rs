//! What the renderer writes: a table that people can read, and that no value ever gets into it.

use std::sync::Arc;

use dbal_policy::Policy;
use dbal_schema::{Entity, Schema, Source};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{
    Action, Assignment, Direction, Function, Include, Measure, Page, Plan, SortKey, Target, Total,
};
use dbal_shared::predicate::{Case, Comparison, Predicate, Quantifier, TextPosition};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use proptest::prelude::*;

use crate::steps::{Aggregate, Bulk, Reach, Removal, Select, Together, Update, Write};
use crate::{
    BRIDGED_POSTGRES, Branch, Dialect, Generate, MARIADB, MYSQL_FOREIGN, POSTGRES, SQLITE, SQLITE_FOREIGN,
    SQLITE_LAX, Several, Statement, Steps, ValidPlan,
};

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
  - {id: authors, entity: Author, roles: [writer], operations: [list], rows: "name != 'nobody'"}
  - {id: others, entity: Book, roles: [reader], operations: [read, list], rows: "title != 'hidden'", fields: {read: [id, title, price]}}
limits:
  writer: {max_complexity: 100000, max_rows: 1000}
"#;

mod keyed;
mod mariadb;
mod tables;

struct Fixture {
    schema: Arc<Schema>,
    policy: Policy,
}

struct Fixed;

impl Generate for Fixed {
    fn uuid(&mut self) -> [u8; 16] {
        [7; 16]
    }
    fn uuid4(&mut self) -> [u8; 16] {
        [4; 16]
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
        self.plan_of("1", roles, action)
    }

    fn plan_of(&self, id: &str, roles: &[&str], action: Action) -> ValidPlan {
        let subject = self.policy.subject(&Principal {
            id: Some(id.to_owned()),
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
fn statements(plan: &ValidPlan, dialect: &'static Dialect) -> Vec<(String, usize)> {
    let steps = Steps::of_plan(plan, dialect).unwrap();
    let mut all: Vec<&Statement> = Vec::new();
    match &steps {
        Steps::Read(Select { statement, .. })
        | Steps::FindFirst(Select { statement, .. })
        | Steps::Count(statement)
        | Steps::Aggregate(Aggregate { statement, .. })
        | Steps::Delete(Removal { statement, .. })
        | Steps::Create(Write { statement, .. }) => all.push(statement),
        Steps::List { rows, count, .. } => {
            all.push(&rows.statement);
            all.extend(count);
        }
        Steps::CreateTogether(together) => all.extend(together.statements()),
        Steps::CreateBatches(batches) => {
            let several = batches.iter().filter_map(|batch| batch.together.as_ref());
            all.extend(several.flat_map(Together::statements));
        }
        Steps::CreateMany(rows) => all.extend(rows.iter().map(|row| &row.statement)),
        Steps::Update(Update {
            write,
            reach: Reach::After(reach) | Reach::Before(reach),
        }) => all.extend([&write.statement, reach]),
        Steps::UpdateMany(Bulk { survey, write, .. }) | Steps::DeleteMany(Bulk { survey, write, .. }) => {
            all.extend(survey);
            all.push(write);
        }
        Steps::Upsert { update, create } => {
            let (Reach::After(reach) | Reach::Before(reach)) = &update.reach;
            all.extend([&update.write.statement, reach, &create.statement]);
        }
    }
    let mut all: Vec<(String, usize)> = all
        .iter()
        .map(|one| (one.sql().to_owned(), one.parameters().len()))
        .collect();
    for branch in Branch::of_plan(plan, dialect).unwrap() {
        linked(branch, &mut all);
    }
    all.extend(keyed::statements(plan, dialect));
    all
}

/// The statement of a relation that is included, and those of what it includes.
fn linked(branch: Branch<'_>, all: &mut Vec<(String, usize)>) {
    let keys = [Value::Int(771), Value::Int(772), Value::Int(773)];
    let Select { statement, .. } = branch.of_keys(&keys).unwrap();
    all.push((statement.sql().to_owned(), statement.parameters().len()));
    for further in branch.branches().unwrap() {
        linked(further, all);
    }
}

fn sql(plan: &ValidPlan, dialect: &'static Dialect) -> Vec<String> {
    statements(plan, dialect)
        .into_iter()
        .map(|(sql, _)| sql)
        .collect()
}

const T: &str = r#""the ""books""""#;

/// `T` for the table, so that the lines stay readable.
fn shown(plan: &ValidPlan) -> Vec<String> {
    shown_in(plan, &SQLITE)
}

fn shown_in(plan: &ValidPlan, dialect: &'static Dialect) -> Vec<String> {
    sql(plan, dialect).iter().map(|sql| sql.replace(T, "T")).collect()
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
            projection: projection.clone(),
            includes: Vec::new()
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
            includes: Vec::new(),
            cursor: None
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
        includes: Vec::new(),
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
fn behind_a_bridge_a_change_of_many_rows_is_one_statement_that_fails_if_one_may_not_be_changed() {
    let fixture = Fixture::new();
    let plan = fixture.plan(
        &["writer"],
        Action::UpdateMany {
            filter: Predicate::Compare {
                column: fixture.column("title"),
                op: Comparison::Eq,
                value: text("MARKER"),
            },
            values: fixture.values(&[("price", Value::Decimal("1.5".to_owned()))]),
        },
    );
    let lines = sql(&plan, &BRIDGED_POSTGRES);
    let [update] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    let short = update.replace("\"the \"\"books\"\"\"", "T");

    let refusal = "ELSE ('dbal: not permitted' || left(random()::text, 0))::bool END)";
    for part in [
        "UPDATE T SET \"price\" = $1, \"changed\" = $2 WHERE (T.\"title\" = $3) AND CASE WHEN (T.\"title\" = $4) AND ",
        refusal,
        " ELSE FALSE END AND (SELECT CASE WHEN COUNT(*) <= $",
        " THEN TRUE ELSE ('dbal: too many rows' || left(random()::text, 0))::bool END FROM (SELECT 1 FROM T WHERE ",
        ") AS dbal_rows) RETURNING (CASE WHEN ",
    ] {
        assert!(short.contains(part), "{part}\n{short}");
    }
    assert_eq!(
        short.matches(refusal).count(),
        2,
        "as it will be and as it was written"
    );
    assert!(short.ends_with(refusal), "{short}");

    let delete = Action::Delete {
        target: fixture.target(),
    };
    let lines = sql(&fixture.plan(&["writer"], delete), &BRIDGED_POSTGRES);
    assert!(!lines[0].contains("RETURNING"), "{lines:?}");
}

#[test]
fn statements_that_become_one_keep_their_parameters_apart() {
    let fixture = Fixture::new();
    let counts: Vec<ValidPlan> = ["a", "$1"]
        .map(|title| Action::Count {
            filter: Predicate::In {
                column: fixture.column("title"),
                values: vec![text(title); 11],
            },
        })
        .map(|action| fixture.plan(&["writer"], action))
        .into();
    let steps: Vec<Steps<'_>> = counts
        .iter()
        .map(|plan| Steps::of_plan(plan, &BRIDGED_POSTGRES).unwrap())
        .collect();
    let [Steps::Count(first), Steps::Count(second)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    let whole = crate::as_json(&[first, second], &BRIDGED_POSTGRES).unwrap();
    assert!(!whole.is_change());
    let each = first.parameters().len();
    assert_eq!(whole.parameters().len(), 2 * each);
    assert_eq!(whole.parameters()[..each], *first.parameters());
    assert_eq!(whole.parameters()[each..], *second.parameters());
    let mut expected = first.sql().to_owned();
    for nth in (1..=each).rev() {
        expected = expected.replace(&format!("${nth}"), &format!("#{}", nth + each));
    }
    assert_eq!(
        whole.sql(),
        format!(
            "WITH dbal_part0 AS ({}), dbal_part1 AS ({}) \
             SELECT 0 AS n, row_to_json(dbal_part0)::text AS r FROM dbal_part0 \
             UNION ALL SELECT 1 AS n, row_to_json(dbal_part1)::text AS r FROM dbal_part1",
            first.sql(),
            expected.replace('#', "$")
        )
    );
}

#[test]
fn postgresql_is_told_types_collations_and_the_place_of_null_where_it_would_guess_otherwise() {
    let fixture = Fixture::new();
    let own = |action| shown_in(&fixture.plan(&["writer"], action), &POSTGRES);
    let title = fixture.column("title");
    let key = |name, direction| SortKey {
        column: fixture.column(name),
        direction,
    };
    let matches = |position, case| Predicate::Matches {
        column: title,
        position,
        text: "MARKER".to_owned(),
        case,
    };
    let find = |filter, order| {
        let sql = own(Action::FindFirst {
            filter,
            order,
            projection: vec![title],
            includes: Vec::new(),
        });
        let (_, rest) = sql[0].split_once(" WHERE (").unwrap();
        rest.replace(r#") AND (T."author" = $2::int8)"#, " …")
            .replace(" LIMIT $3 OFFSET $4", "")
    };
    let by_key = r#" … ORDER BY T."id" ASC"#;
    for (filter, expected) in [
        (
            matches(TextPosition::Contains, Case::Sensitive),
            r#"strpos(T."title"::text, $1::text) > 0"#,
        ),
        (
            matches(TextPosition::StartsWith, Case::Insensitive),
            r#"starts_with(lower(T."title"::text COLLATE "und-x-icu"), lower($1::text COLLATE "und-x-icu"))"#,
        ),
        (
            Predicate::Compare {
                column: title,
                op: Comparison::Eq,
                value: text("MARKER"),
            },
            r#"T."title" = $1"#,
        ),
        (
            Predicate::Compare {
                column: title,
                op: Comparison::Lt,
                value: text("MARKER"),
            },
            r#"T."title"::text COLLATE "C" < $1"#,
        ),
        (
            Predicate::In {
                column: fixture.column("price"),
                values: vec![Value::Decimal("1".to_owned())],
            },
            r#"T."price" IN ($1::numeric)"#,
        ),
    ] {
        assert_eq!(find(filter, Vec::new()), format!("{expected}{by_key}"));
    }
    let order = vec![
        key("price", Direction::Descending),
        key("isbn", Direction::Ascending),
        key("title", Direction::Ascending),
    ];
    assert_eq!(
        find(matches(TextPosition::Whole, Case::Sensitive), order),
        concat!(
            r#"T."title"::text = $1::text … ORDER BY T."price" DESC NULLS LAST, "#,
            r#"T."isbn"::text COLLATE "C" ASC NULLS FIRST, T."title"::text COLLATE "C" ASC, T."id" ASC"#
        )
    );
    let values = fixture.values(&[("authorId", Value::Int(2))]);
    let update = own(Action::UpdateMany {
        filter: Predicate::True,
        values,
    });
    assert!(update[1].contains("AND ($4::int8 = $5::int8)"), "{update:?}");
}

#[test]
fn a_table_is_made_after_those_that_it_refers_to_and_circles_are_closed_at_the_end() {
    let entities = "
entity: A
fields:
  id: {type: integer, primary: true}
  b:  {type: integer, nullable: true, foreign_key: {entity: B, field: id, on_delete: set_null}}
---
entity: B
fields:
  id:   {type: integer, primary: true}
  a:    {type: integer, nullable: true, foreign_key: {entity: A, field: id, on_delete: restrict}}
  self: {type: integer, nullable: true, foreign_key: {entity: B, field: id, on_delete: restrict}}
---
entity: C
fields:
  id: {type: integer, primary: true}
  d:  {type: integer, required: true, foreign_key: {entity: D, field: id, on_delete: cascade}}
---
entity: D
fields:
  id: {type: integer, primary: true}
";
    let source = Source {
        name: "test.yaml".to_owned(),
        text: entities.to_owned(),
    };
    let schema = Schema::parse(&[source]).unwrap().schema;
    let tables = crate::ddl::tables_in_order(&schema, &POSTGRES).unwrap();
    let names: Vec<&str> = tables
        .iter()
        .map(|table| schema.entity(table.entity).unwrap().name.as_str())
        .collect();
    assert_eq!(names, ["D", "C", "A", "B"]);
    let late: Vec<&str> = tables
        .iter()
        .flat_map(|table| &table.references)
        .map(Statement::sql)
        .collect();
    assert_eq!(
        late,
        [
            r#"ALTER TABLE "A" ADD CONSTRAINT "A_b_fkey" FOREIGN KEY ("b") REFERENCES "B" ("id") ON DELETE SET NULL"#
        ]
    );
    assert_eq!(
        tables[3].create.sql(),
        concat!(
            r#"CREATE TABLE IF NOT EXISTS "B" ("id" int4 PRIMARY KEY NOT NULL, "#,
            r#""a" int4 REFERENCES "A" ("id") ON DELETE NO ACTION, "self" int4 REFERENCES "B" ("id") ON DELETE NO ACTION)"#
        )
    );
    assert_eq!(
        tables[3].indexes[0].sql(),
        r#"CREATE INDEX IF NOT EXISTS "B_a_index" ON "B" ("a" ASC NULLS FIRST)"#
    );
}

/// Author, and their books, of a book.
fn includes(fixture: &Fixture, filter: Predicate) -> Vec<Include> {
    let author = fixture.schema.by_name("Author").unwrap();
    let books = Include {
        link: author.relation_by_name("books").unwrap().link,
        filter,
        order: vec![SortKey {
            column: fixture.column("price"),
            direction: Direction::Descending,
        }],
        limit: 777,
        projection: vec![fixture.column("title")],
        includes: Vec::new(),
    };
    vec![Include {
        link: fixture.book().relation_by_name("author").unwrap().link,
        filter: Predicate::True,
        order: Vec::new(),
        limit: 776,
        projection: vec![author.column_by_name("name").unwrap().id],
        includes: vec![books],
    }]
}

fn written_by(fixture: &Fixture, quantifier: Quantifier, predicate: Predicate) -> Predicate {
    Predicate::Related {
        link: fixture.book().relation_by_name("author").unwrap().link,
        quantifier,
        within: Box::new(Predicate::True),
        predicate: Box::new(predicate),
    }
}

#[test]
fn linked_rows_and_numbers_have_one_statement_each() {
    let fixture = Fixture::new();
    let own = |action| shown(&fixture.plan(&["writer"], action));
    let title = Predicate::IsNull {
        column: fixture.column("title"),
    };
    assert_eq!(
        own(Action::FindFirst {
            filter: Predicate::True,
            order: Vec::new(),
            projection: vec![fixture.column("title")],
            includes: includes(&fixture, title.clone()),
        }),
        [
            r#"SELECT T."title", T."author" FROM T WHERE (TRUE) AND (T."author" = ?) ORDER BY T."id" ASC LIMIT ? OFFSET ?"#,
            r#"SELECT "Author"."name", "Author"."id", "Author"."id" FROM "Author" WHERE ("Author"."id" IN (?, ?, ?, ?)) AND ("Author"."name" <> ?) AND (TRUE) LIMIT ?"#,
            r#"SELECT T."title", T."author" FROM (SELECT T."id" AS dbal_key, ROW_NUMBER() OVER (PARTITION BY T."author" ORDER BY T."price" COLLATE dbal_decimal DESC, T."id" ASC) AS dbal_nth FROM T WHERE (T."author" IN (?, ?, ?, ?)) AND (T."author" = ?) AND (T."title" IS NULL)) AS dbal_linked JOIN T ON T."id" = dbal_linked.dbal_key WHERE dbal_linked.dbal_nth <= ? ORDER BY dbal_linked.dbal_nth LIMIT ?"#,
        ]
    );
    let nobody = Predicate::IsNull { column: ColumnId(1) };
    for (quantifier, sql) in [
        (
            Quantifier::Some,
            r#"SELECT COUNT(*) FROM T WHERE (EXISTS (SELECT 1 FROM "Author" AS dbal_1 WHERE dbal_1."id" = T."author" AND (dbal_1."name" <> ?) AND (dbal_1."name" IS NULL) IS TRUE)) AND (T."author" = ?)"#,
        ),
        (
            Quantifier::Every,
            r#"SELECT COUNT(*) FROM T WHERE (NOT EXISTS (SELECT 1 FROM "Author" AS dbal_1 WHERE dbal_1."id" = T."author" AND (dbal_1."name" <> ?) AND (dbal_1."name" IS NULL) IS NOT TRUE)) AND (T."author" = ?)"#,
        ),
    ] {
        let filter = written_by(&fixture, quantifier, nobody.clone());
        assert_eq!(own(Action::Count { filter }), [sql]);
    }
    let measure = |function, name| Measure {
        function,
        column: fixture.column(name),
    };
    assert_eq!(
        own(Action::Aggregate {
            filter: Predicate::True,
            groups: vec![fixture.column("title"), fixture.column("isbn")],
            count: Total::Counted,
            measures: vec![measure(Function::Sum, "id"), measure(Function::Max, "price")],
            limit: 5,
        }),
        [
            r#"SELECT T."title", T."isbn", COUNT(*), dbal_sum(T."id"), MAX(T."price" COLLATE dbal_decimal) FROM T WHERE (TRUE) AND (T."author" = ?) GROUP BY T."title", T."isbn" ORDER BY T."title" ASC, T."isbn" ASC LIMIT ?"#
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
            Action::Read { target: target.clone(), projection: projection.clone(), includes: Vec::new() },
            Action::FindFirst { filter: filter.clone(), order: order.clone(), projection: projection.clone(), includes: Vec::new() },
            Action::List { filter: filter.clone(), order, page, total: Total::Counted, projection: projection.clone(), includes: Vec::new(), cursor: None },
            Action::Count { filter: filter.clone() },
            Action::Read { target: target.clone(), projection: projection.clone(), includes: includes(&fixture, filter.clone()) },
            Action::Count { filter: written_by(&fixture, Quantifier::Every, Predicate::Compare {
                column: ColumnId(1), op: Comparison::Eq, value: text("MARKER"),
            }).and(filter.clone()) },
            Action::Aggregate {
                filter: filter.clone(),
                groups: vec![fixture.column("title")],
                count: Total::Counted,
                measures: vec![Measure { function: Function::Average, column: fixture.column("id") }],
                limit: 774,
            },
            Action::Create { values: row.clone(), projection: projection.clone() },
            Action::CreateMany { rows: vec![row.clone(); 5] },
            Action::Update { target: target.clone(), values: values.clone(), projection: projection.clone() },
            Action::UpdateMany { filter: filter.clone(), values: values.clone() },
            Action::Delete { target: target.clone() },
            Action::DeleteMany { filter: filter.clone() },
            Action::Upsert { target, create: row, update: values, projection },
        ] {
            let plan = fixture.plan(&["writer"], action);
            for dialect in [&SQLITE, &SQLITE_LAX, &SQLITE_FOREIGN, &MARIADB, &MYSQL_FOREIGN] {
                for (sql, parameters) in statements(&plan, dialect) {
                    prop_assert!(!sql.contains("MARKER") && !sql.contains("77"), "{}", sql);
                    prop_assert_eq!(sql.matches('?').count(), parameters, "{}", sql);
                }
            }
            for dialect in [&POSTGRES, &BRIDGED_POSTGRES] {
                let several = Several::of_plan(&plan, dialect).unwrap().unwrap_or_default();
                let several = several.iter().filter_map(|one| one.all.as_ref()).map(|all| (all.statement.sql().to_owned(), all.statement.parameters().len()));
                for (sql, parameters) in statements(&plan, dialect).into_iter().chain(several) {
                    prop_assert!(!sql.contains("MARKER") && !sql.contains("77"), "{}", sql);
                    prop_assert_eq!(sql.matches('$').count(), parameters, "{}", sql);
                    let last = format!("${parameters}");
                    prop_assert!(parameters == 0 || sql.contains(&last), "{}", sql);
                }
            }
        }
    }
}
