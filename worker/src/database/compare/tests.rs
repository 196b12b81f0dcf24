//! Entities against real SQLite tables: everything that can differ, one case each, and that nothing differs where it need not.

use dbal_schema::{Schema, Source};
use rusqlite::Connection;

use super::*;
use crate::database::sqlite::{catalog::catalog, repair};

const USER: &str = "
entity: User
table: users
fields:
  id:    {type: uuid, primary: true, generated: true}
  email: {type: email, required: true, unique: true}
---
";

const USERS: &str = "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL UNIQUE) STRICT;";

fn schema(entities: &str) -> Schema {
    let source = Source {
        name: "test.yaml".to_owned(),
        text: entities.to_owned(),
    };
    Schema::parse(&[source]).unwrap().schema
}

fn database(sql: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    crate::database::sqlite::functions::register(&connection).unwrap();
    connection.execute_batch(sql).unwrap();
    for statement in Answers::table().unwrap().create(&dbal_sql::SQLITE).unwrap() {
        connection.execute(statement.sql(), []).unwrap();
    }
    connection
}

fn found(entities: &str, sql: &str) -> Vec<String> {
    let findings = compare(&schema(entities), &catalog(&database(sql)).unwrap());
    let shown = |finding: &Finding| format!("{} {finding}", finding.weight.name());
    findings.iter().map(shown).collect()
}

/// One field more of User, and one column more of users.
fn with(field: &str, column: &str) -> Vec<String> {
    let entities = USER.replace("\n---", &format!("\n  {field}\n---"));
    let sql = USERS.replace(") STRICT", &format!(", {column})"));
    found(&entities, &sql)
}

#[test]
fn nothing_differs_in_the_tables_that_the_daemon_makes() {
    let every_type = "
entity: Everything
fields:
  id: {type: bigint, primary: true}
  a: {type: uuid, foreign_key: {entity: User, field: id, on_delete: set_null}}
  b: {type: cuid}
  c: {type: string, unique: true, nullable: true, max_length: 3}
  d: {type: text, required: true, index: true}
  e: {type: enum, values: [x]}
  f: {type: integer, default: 1}
  g: {type: float}
  h: {type: decimal, unique: true}
  i: {type: boolean}
  j: {type: date}
  k: {type: datetime, generated: true}
  l: {type: json}
  m: {type: bytes}
  n: {type: datetime}
ttl: {field: n, auto_delete: true}
indexes: [{fields: [e, f], unique: true, name: ef}, {fields: [g, h], name: gh}]
";
    let schema = schema(&format!("{USER}{every_type}"));
    let connection = database("");
    let compared = || compare(&schema, &catalog(&connection).unwrap());
    let before = compared();
    assert_eq!(before.len(), 2, "{before:?}");
    let made = repair::make(&connection, &schema, &before).unwrap();
    assert_eq!(
        made,
        [
            "the table `users` of `User`",
            "the table `Everything` of `Everything`"
        ]
    );
    let after = compared();
    assert!(after.is_empty(), "{after:?}");
}

#[test]
fn a_key_that_the_database_lets_be_null_is_told() {
    let users = "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE);";
    assert_eq!(
        found(USER, users),
        [
            "advice `User.id` (column `id` of the table `users`): it is the entity's key, and the database allows NULL there; forbid it \
          there; a row with NULL stands in lists only, and ends their pages by cursor"
        ]
    );
    for never in ["id TEXT PRIMARY KEY NOT NULL", "id TEXT PRIMARY KEY"] {
        let users =
            format!("CREATE TABLE users ({never}, email TEXT NOT NULL UNIQUE) WITHOUT ROWID, STRICT;");
        assert_eq!(found(USER, &users), [""; 0], "{never}");
    }
}

#[test]
fn a_difference_is_told_with_entity_field_column_and_what_to_do() {
    assert_eq!(found(USER, USERS), [""; 0]);
    for (field, column, said) in [
        (
            "x: {type: string}",
            "y TEXT",
            vec![
                "refuses `User.x` (column `x` of the table `users`): there is no such column; add it to the table, correct `column`, or leave the field out",
                "advice `User` (table `users`): no field names `y`; nothing, if clients shall not see them",
            ],
        ),
        (
            "x: {type: string}",
            "x REAL",
            vec![
                "matters `User.x` (column `x` of the table `users`): its type is `REAL`: SQLite turns texts that look like numbers into numbers there, and they can't be read; change the type of one of the two",
            ],
        ),
        (
            "x: {type: integer}",
            "x VARCHAR(9)",
            vec![
                "refuses `User.x` (column `x` of the table `users`): its type is `VARCHAR(9)`, which can't hold what the field's type integer needs; change the type of one of the two",
            ],
        ),
        (
            "x: {type: uuid}",
            "x INT",
            vec![
                "matters `User.x` (column `x` of the table `users`): its type is `INT`: it was made for numbers, and a row that holds one can't be read; change the type of one of the two",
            ],
        ),
        (
            "x: {type: decimal}",
            "x DECIMAL(10,2)",
            vec![
                "refuses `User.x` (column `x` of the table `users`): its type is `DECIMAL(10,2)`, which can't hold what the field's type decimal needs; change the type of one of the two",
            ],
        ),
        (
            "x: {type: string}",
            "x TEXT NOT NULL",
            vec![
                "matters `User.x` (column `x` of the table `users`): the field may be left out or null, and the database refuses NULL there; say `required: true` or give it a `default`, or allow NULL",
            ],
        ),
        (
            "x: {type: string, required: true}",
            "x TEXT",
            vec![
                "advice `User.x` (column `x` of the table `users`): the field is never null, and the database allows NULL there; forbid it there if no row holds it; clients get such a row with null",
            ],
        ),
        (
            "x: {type: integer, required: true}",
            "x INT NOT NULL AS (length(email)) STORED",
            vec![
                "matters `User.x` (column `x` of the table `users`): the database computes it, and the daemon writes every field of a new row; leave the field out, or say `read_only: true`",
            ],
        ),
        (
            "x: {type: string, unique: true}",
            "x TEXT",
            vec![
                "matters `User.x` (column `x` of the table `users`): the entity says that `x` is unique, and no index of the database does; `dbal schema apply` makes the index",
            ],
        ),
        (
            "x: {type: string, index: true}",
            "x TEXT",
            vec![
                "advice `User.x` (column `x` of the table `users`): no index begins with `x`, as the entity wants it; `dbal schema apply` makes the index",
            ],
        ),
        (
            "x: {type: string}",
            "x TEXT UNIQUE",
            vec![
                "advice `User` (table `users`): the database lets no two rows agree in x, of which the entity says nothing; say `unique`, for those who read the entity; a conflict is answered 409 either way",
            ],
        ),
        (
            "x: {type: string}",
            "X TEXT, y INT NOT NULL, z INT NOT NULL DEFAULT 1",
            vec![
                "matters `User` (table `users`): the column `y` takes no row without a value, and no field names it: every create fails; add a field for it, give it a default there, or say `read_only: true`",
                "advice `User` (table `users`): no field names `z`; nothing, if clients shall not see them",
            ],
        ),
        (
            "x: {type: uuid, foreign_key: {entity: User, on_delete: cascade}}",
            "x TEXT",
            vec![
                "matters `User.x` (column `x` of the table `users`): the database has no foreign key to `users` (`id`): rows can refer to nothing, and `on_delete: cascade` does not happen; add the constraint there, or leave `foreign_key` out",
                "advice `User.x` (column `x` of the table `users`): no index begins with it: whenever a row that it may refer to is deleted, the whole table is read; `dbal schema apply` makes the index",
            ],
        ),
        (
            "x: {type: bigint}\nttl: {field: x, auto_delete: true}",
            "x INT",
            vec![
                "advice `User.x` (column `x` of the table `users`): no index begins with it: each look for rows whose time is over (`ttl`) reads the whole table; `dbal schema apply` makes the index",
            ],
        ),
        (
            "x: {type: uuid, unique: true, foreign_key: {entity: User, on_delete: cascade}}",
            "x TEXT UNIQUE REFERENCES users ON DELETE SET NULL",
            vec![
                "matters `User.x` (column `x` of the table `users`): `on_delete` is cascade in the entity and set_null in the database, which is what happens; let them say the same",
            ],
        ),
        (
            "x: {type: uuid}",
            "x TEXT REFERENCES users (id)",
            vec![
                "advice `User.x` (column `x` of the table `users`): the database has a foreign key to the table `users`, of which the entity says nothing; say `foreign_key`, if that table is an entity",
            ],
        ),
    ] {
        assert_eq!(with(field, column), said, "{field} / {column}");
    }
}

#[test]
fn a_key_that_is_not_unique_a_missing_table_and_a_writable_view_are_told() {
    assert_eq!(
        found(USER, "CREATE TABLE users (id TEXT, email TEXT NOT NULL UNIQUE)"),
        [
            "refuses `User.id` (column `id` of the table `users`): it is the entity's key, and nothing in the database makes it unique; make it the primary key there, or let `dbal schema apply` make a unique index"
        ]
    );
    assert_eq!(
        found(USER, ""),
        [
            "refuses `User` (table `users`): there is no such table; `dbal schema apply` makes it, `dbal schema ddl` prints how; or correct `table`"
        ]
    );
    let view = "CREATE TABLE t (id TEXT, email TEXT); CREATE VIEW users AS SELECT * FROM t;";
    assert_eq!(
        found(USER, view),
        [
            "matters `User` (table `users`): it is a view or a virtual table, which may take no rows; say `read_only: true`"
        ]
    );
    let is_read_only = USER.replace("\n---", "\nread_only: true\n---");
    let virtual_table = "CREATE VIRTUAL TABLE users USING fts5 (id, email)";
    assert_eq!(found(&is_read_only, virtual_table), [""; 0]);
    assert_eq!(
        found(&USER.replace("\n---", "\nread_only: true\n---"), view),
        [""; 0]
    );
}

#[test]
fn an_index_over_part_of_the_rows_makes_nothing_unique() {
    for index in [
        "CREATE UNIQUE INDEX i ON users (email) WHERE email <> ''",
        "CREATE UNIQUE INDEX i ON users (lower(email))",
        "CREATE UNIQUE INDEX i ON users (email, id)",
        "CREATE INDEX i ON users (email)",
    ] {
        let sql = format!("CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL); {index}");
        let said = found(USER, &sql);
        assert!(
            said.first()
                .is_some_and(|said| said.contains("says that `email` is unique")),
            "{index}: {said:?}"
        );
    }
    let sql = "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL); CREATE UNIQUE INDEX i ON users (email)";
    assert_eq!(found(USER, sql), [""; 0]);
}

#[test]
fn what_can_not_all_be_made_is_not_made_at_all() {
    let entities = format!("{USER}entity: Other\nfields: {{id: {{type: integer}}}}\n");
    let schema = schema(&entities);
    let sql = "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL);
               INSERT INTO users VALUES ('a', 'x'), ('b', 'x');";
    let connection = database(sql);
    let findings = compare(&schema, &catalog(&connection).unwrap());
    let error = repair::make(&connection, &schema, &findings)
        .unwrap_err()
        .to_string();
    assert!(error.contains("nothing was. For `User.email`"), "{error}");
    let tables = catalog(&connection).unwrap().tables;
    assert_eq!(tables.len(), 2, "{tables:?}");
    connection
        .execute("DELETE FROM users WHERE id = 'b'", [])
        .unwrap();
    let made = repair::make(&connection, &schema, &findings).unwrap();
    assert_eq!(
        made,
        [
            "the table `Other` of `Other`",
            "a unique index over email of the table `users`"
        ]
    );
    assert!(compare(&schema, &catalog(&connection).unwrap()).is_empty());
}

#[test]
fn every_type_that_is_suggested_for_a_column_fits_it() {
    for declared in [
        "INTEGER",
        "INT",
        "TINYINT(1)",
        "BIGINT",
        "TEXT",
        "VARCHAR(20)",
        "CLOB",
        "BLOB",
        "REAL",
        "DOUBLE PRECISION",
        "NUMERIC",
        "DECIMAL(10,5)",
        "BOOLEAN",
        "DATE",
        "DATETIME",
        "TIMESTAMP",
        "UUID",
        "JSON",
        "JSONB",
        "STRING",
        "POINT",
        "",
    ] {
        let connection = database(&format!("CREATE TABLE t (c {declared})"));
        let catalog = catalog(&connection).unwrap();
        let column = &catalog.table("t").unwrap().columns[0];
        if let Some(kind) = (catalog.types.suggest)(column) {
            assert_ne!((catalog.types.fit)(column, kind), Fit::Not, "{declared}");
        } else {
            assert!(["STRING", "POINT", ""].contains(&declared), "{declared}");
        }
    }
}

#[test]
fn shorter_columns_and_lists_of_values_are_told() {
    let entities = USER.replace(
        "\n---",
        "\n  state: {type: enum, values: [new, old], required: true}\n  name: {type: string, max_length: 9, required: true}\n---",
    );
    let sql = USERS.replace(") STRICT", ", state TEXT NOT NULL, name TEXT NOT NULL)");
    let schema = schema(&entities);
    let mut catalog = catalog(&database(&sql)).unwrap();
    assert!(compare(&schema, &catalog).is_empty());
    // As other databases say it.
    let users = catalog.tables.iter_mut().find(|table| table.name == "users");
    let columns = &mut users.unwrap().columns;
    columns[1].max_length = Some(100);
    columns[2].max_length = Some(3);
    columns[2].values = vec!["old".to_owned(), "older".to_owned()];
    columns[3].max_length = Some(8);
    columns[3].values = vec!["Ann".to_owned()];
    let said: Vec<String> = compare(&schema, &catalog)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        [
            "`User.email` (column `email` of the table `users`): the field allows longer values than the 100 that the database takes; say `max_length: 100`",
            "`User.state` (column `state` of the table `users`): the database does not take `new`, which the field takes; take them out of `values`, or add them there",
            "`User.name` (column `name` of the table `users`): the field allows longer values than the 8 that the database takes; say `max_length: 8`",
            "`User.name` (column `name` of the table `users`): the database has a list of the values that it takes, and the field takes any; say `type: enum, values: [Ann]`",
        ]
    );
}

#[test]
fn the_workers_own_table_is_only_missed_by_those_who_need_it() {
    let connection = database(USERS);
    connection.execute("DROP TABLE dbal_idempotency", []).unwrap();
    let findings = compare(&schema(USER), &catalog(&connection).unwrap());
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "`dbal` (table `dbal_idempotency`): the worker's own table is missing: calls with an `idempotencyKey` fail; `dbal schema apply` makes it; nothing, if nobody sends one"
        ]
    );
    assert_eq!(findings[0].weight, Weight::Advice);
    repair::make(&connection, &schema(USER), &findings).unwrap();
    assert!(compare(&schema(USER), &catalog(&connection).unwrap()).is_empty());
}
