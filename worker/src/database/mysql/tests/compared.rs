//! Entities against real MariaDB tables: everything that can differ there, one case each; what is made, and what is left
//! where something can't be.

use dbal_schema::{ColumnType, Schema, Source};
use dbal_servers::mariadb::{MariaDb, PASSWORD};
use dbal_servers::mysql::MySql;

use super::config;
use crate::database::catalog::{Extent, Fill, Fit};
use crate::database::compare::{Finding, Weight, compare};
use crate::database::mysql::open::Inspection;

const USER: &str = "
entity: User
table: users
fields:
  id:    {type: uuid, primary: true, generated: true}
  email: {type: email, required: true, unique: true}
---
";

const USERS: &str = "CREATE TABLE users (id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, \
    email VARCHAR(255) NOT NULL UNIQUE) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

fn schema(entities: &str) -> Schema {
    let source = Source {
        name: "test.yaml".to_owned(),
        text: entities.to_owned(),
    };
    Schema::parse(&[source]).unwrap().schema
}

/// A database with these tables, and its name.
fn database(sql: &str) -> (Inspection, String) {
    database_on(MariaDb::shared(), sql)
}

fn database_on(server: &'static MariaDb, sql: &str) -> (Inspection, String) {
    let name = server.database();
    let inspection = Inspection::open(&config(server, &name)).unwrap();
    inspection.make(&schema(USER)).unwrap();
    server.sql(
        &name,
        &format!("DROP TABLE users; {sql}").replace("CURRENT_NAME", &name),
    );
    (inspection, name)
}

fn found_in(inspection: &Inspection, entities: &str) -> Vec<String> {
    let findings = compare(&schema(entities), &inspection.catalog().unwrap());
    let shown = |finding: &Finding| format!("{} {finding}", finding.weight.name());
    findings.iter().map(shown).collect()
}

fn found(entities: &str, sql: &str) -> Vec<String> {
    found_in(&database(sql).0, entities)
}

const EVERY_TYPE: &str = "
entity: Everything
table: Every `thing`
fields:
  id: {type: bigint, primary: true}
  a: {type: uuid, foreign_key: {entity: User, field: id, on_delete: set_null}}
  b: {type: cuid}
  c: {type: string, unique: true, nullable: true, max_length: 3}
  d: {type: text, required: true, index: true, max_length: 768}
  e: {type: enum, values: [x]}
  f: {type: integer, default: 1}
  g: {type: float}
  h: {type: decimal, unique: true}
  i: {type: boolean}
  j: {type: date}
  k: {type: datetime, generated: true}
  l: {type: json}
  m: {type: bytes}
  n: {type: bigint, foreign_key: {entity: Other, field: id, on_delete: restrict}}
  o: {type: text, column: \"Ö e$?\"}
indexes: [{fields: [e, f], unique: true, name: ef}, {fields: [g, h], name: gh}]
---
entity: Other
fields:
  id: {type: bigint, primary: true}
  x:  {type: bigint, foreign_key: {entity: Everything, field: id, on_delete: cascade}}
";

#[test]
fn nothing_differs_in_the_tables_that_the_daemon_makes() {
    nothing_differs_in_what_is_made(MariaDb::shared());
}

#[test]
fn nothing_differs_in_the_tables_that_the_daemon_makes_in_mysql() {
    nothing_differs_in_what_is_made(MySql::shared());
}

fn nothing_differs_in_what_is_made(server: &MariaDb) {
    let schema = schema(&format!("{USER}{EVERY_TYPE}"));
    let name = server.database();
    let inspection = Inspection::open(&config(server, &name)).unwrap();
    let made = inspection.make(&schema).unwrap();
    assert_eq!(
        made,
        [
            "the table `users` of `User`",
            "the table `Every `thing`` of `Everything`",
            "the table `Other` of `Other`",
            "the worker's own table `dbal_idempotency`",
        ]
    );
    let catalog = inspection.catalog().unwrap();
    let after = compare(&schema, &catalog);
    assert!(after.is_empty(), "{after:?}");
    assert_eq!(inspection.make(&schema).unwrap(), [""; 0]);
    // What is there is of the types that it was made for: an entity from it would be the same, but where one column does for two.
    for entity in schema.entities() {
        let table = catalog.table(entity.table.as_str()).unwrap();
        for column in &entity.columns {
            let found = table.column(column.sql.as_str(), catalog.names).unwrap();
            let suggested = (catalog.types.suggest)(found).unwrap();
            let is_twin = if column.kind.is_text() || column.kind == ColumnType::Json {
                suggested.is_text()
            } else {
                suggested == column.kind
            };
            assert!(is_twin, "{found:?} {:?} {suggested:?}", column.kind);
            assert_eq!(found.is_nullable, column.is_nullable, "{found:?}");
        }
    }
}

#[test]
fn each_difference_is_told_with_what_it_comes_to() {
    assert_eq!(found(USER, USERS), [""; 0]);
    let of_x =
        |weight: &str, what: &str| format!("{weight} `User.x` (column `x` of the table `users`): {what}");
    for (field, column, said) in [
        (
            "x: {type: string}",
            "`X X` TEXT",
            vec![
                of_x("refuses", "there is no such column; add it to the table, correct `column`, or leave the field out"),
                "advice `User` (table `users`): no field names `X X`; nothing, if clients shall not see them".to_owned(),
            ],
        ),
        // Names of columns have no case.
        ("x: {type: text}", "X LONGTEXT", vec![]),
        ("x: {type: boolean}", "x TINYINT(1)", vec![]),
        ("x: {type: boolean}", "x BIT(1)", vec![]),
        (
            "x: {type: boolean}",
            "x BIT(3)",
            vec![of_x("matters", "its type is `bit(3)`: it holds other numbers than 0 and 1, which are true there and are found by no filter; change the type of one of the two")],
        ),
        (
            "x: {type: string}",
            "x SET('a', 'b')",
            vec![of_x("refuses", "its type is `set('a','b')`: it holds several values, and a field holds one; change it, or leave the field out")],
        ),
        (
            "x: {type: datetime}",
            "x TIME",
            vec![of_x("refuses", "its type is `time`, which can't hold what the field's type datetime needs (usable are datetime, timestamp); change the type of one of the two")],
        ),
        (
            "x: {type: datetime}",
            "x DATETIME",
            vec![of_x("matters", "its type is `datetime`: it keeps fewer digits of a second than three; change the type of one of the two")],
        ),
        ("x: {type: datetime}", "x DATETIME(6)", vec![]),
        (
            "x: {type: datetime}",
            "x TIMESTAMP(3) NULL",
            vec![of_x("matters", "its type is `timestamp(3)`: it takes no time before 1970 or long after 2038; change the type of one of the two")],
        ),
        ("x: {type: json}", "x JSON", vec![]),
        (
            "x: {type: text}",
            "x JSON",
            vec![of_x("matters", "its type is `json`: it takes JSON and nothing else; change the type of one of the two")],
        ),
        ("x: {type: uuid}", "x UUID", vec![]),
        ("x: {type: uuid}", "x VARCHAR(36)", vec![]),
        ("x: {type: uuid}", "x BINARY(16)", vec![]),
        (
            "x: {type: uuid, foreign_key: {entity: User, field: id, on_delete: cascade}}",
            "x BINARY(16), INDEX (x)",
            vec![
                of_x("refuses", "it refers to the column `id` of the table `users`, and the database does not compare the two (`binary(16)` and `char(36)`, collation ascii_bin): whatever follows the link would fail; give both the same type and collation, or leave `foreign_key` out"),
                of_x("matters", "the database has no foreign key to `users` (`id`): rows can refer to nothing, and `on_delete: cascade` does not happen; add the constraint there, or leave `foreign_key` out"),
            ],
        ),
        (
            "x: {type: uuid}",
            "x CHAR(32)",
            vec![of_x("refuses", "its type is `char(32)`, which can't hold what the field's type uuid needs (usable are char, varchar, binary(16), uuid); change the type of one of the two")],
        ),
        (
            "x: {type: decimal}",
            "x DECIMAL(12,4)",
            vec![of_x("matters", "its type is `decimal(12,4)`: digits behind its last are rounded off, larger numbers refused; change the type of one of the two")],
        ),
        (
            "x: {type: decimal}",
            "x DECIMAL(65,30) UNSIGNED",
            vec![of_x("matters", "its type is `decimal(65,30) unsigned`: it takes no number below 0; change the type of one of the two")],
        ),
        (
            "x: {type: float}",
            "x FLOAT",
            vec![of_x("matters", "its type is `float`: it keeps about 7 digits of a number's 16; change the type of one of the two")],
        ),
        (
            "x: {type: string, max_length: 9}",
            "x CHAR(9)",
            vec![of_x("matters", "its type is `char(9)`: blanks at the end of a text are lost there; change the type of one of the two")],
        ),
        (
            "x: {type: string, max_length: 9}",
            "x VARCHAR(8)",
            vec![of_x("matters", "the field allows longer values than the 8 that the database takes; say `max_length: 8`")],
        ),
        (
            "x: {type: text}",
            "x TEXT",
            vec![of_x("matters", "the field allows longer values than the 16383 that the database takes; say `max_length: 16383`")],
        ),
        ("x: {type: text}", "x MEDIUMTEXT", vec![]),
        (
            "x: {type: text}",
            "x LONGTEXT CHARACTER SET latin1",
            vec![of_x("matters", "its type is `longtext`: it takes only the letters of its character set; change the type of one of the two")],
        ),
        (
            "x: {type: bytes, max_length: 16}",
            "x BINARY(16)",
            vec![of_x("matters", "its type is `binary(16)`: shorter values are filled up with zeros; change the type of one of the two")],
        ),
        (
            "x: {type: integer}",
            "x SMALLINT",
            vec![of_x("matters", "the field allows numbers beyond the -32768 to 32767 that the database takes; say `min: -32768, max: 32767`")],
        ),
        (
            "x: {type: integer}",
            "x INT UNSIGNED",
            vec![of_x("matters", "the field allows numbers beyond the 0 to 4294967295 that the database takes; say `min: 0, max: 2147483647`")],
        ),
        ("x: {type: bigint, min: 0}", "x BIGINT UNSIGNED", vec![]),
        ("x: {type: enum, values: [new, 'it''s']}", "x ENUM('new', 'it''s')", vec![]),
        (
            "x: {type: enum, values: [new, older]}",
            "x ENUM('new', 'old')",
            vec![of_x("matters", "the database does not take `older`, which the field takes; take them out of `values`, or add them there")],
        ),
        (
            "x: {type: string}",
            "x ENUM('new', 'old')",
            vec![
                of_x("refuses", "its type is `enum('new','old')`, which can't hold what the field's type string needs (usable are char, varchar, tinytext, text, mediumtext, longtext); change the type of one of the two"),
                of_x("matters", "the database has a list of the values that it takes, and the field takes any; say `type: enum, values: [new, old]`"),
            ],
        ),
        (
            "x: {type: text}",
            "x LONGTEXT NOT NULL",
            vec![of_x("matters", "the field may be left out or null, and the database refuses NULL there; say `required: true` or give it a `default`, or allow NULL")],
        ),
        (
            "x: {type: text, required: true}",
            "x LONGTEXT",
            vec![of_x("advice", "the field is never null, and the database allows NULL there; forbid it there if no row holds it; clients get such a row with null")],
        ),
        (
            "x: {type: integer}",
            "x INT AS (length(email)) STORED",
            vec![of_x("matters", "the database computes it, and the daemon writes every field of a new row; leave the field out, or say `read_only: true`")],
        ),
        (
            "x: {type: text, unique: true, max_length: 768}",
            "x VARCHAR(768); CREATE INDEX plain ON users (x)",
            vec![of_x("matters", "the entity says that `x` is unique, and no index of the database does; `dbal schema apply` makes the index")],
        ),
        (
            "x: {type: text, unique: true}",
            "x LONGTEXT, UNIQUE INDEX begins (x(10))",
            vec![of_x("matters", "the unique index `begins` knows only the beginnings of its values: of two that begin alike the second is answered 409; let the index be over the whole column")],
        ),
        (
            "x: {type: text, index: true, max_length: 50}",
            "x VARCHAR(50), INDEX begins (x(10))",
            vec![of_x("advice", "no index begins with `x`, as the entity wants it; `dbal schema apply` makes the index")],
        ),
        (
            "x: {type: string, unique: true, max_length: 50}",
            "x VARCHAR(50) COLLATE utf8mb4_general_ci UNIQUE",
            vec![of_x("matters", "by its collation utf8mb4_general_ci texts that differ are one to its unique indexes and references: the second of them is answered 409; give it one that tells all texts apart")],
        ),
        ("x: {type: string, max_length: 50}", "x VARCHAR(50) COLLATE utf8mb4_general_ci", vec![]),
        (
            "x: {type: uuid, foreign_key: {entity: User, field: id, on_delete: cascade}}",
            "x CHAR(36) CHARACTER SET ascii COLLATE ascii_bin, FOREIGN KEY (x) REFERENCES users (id) ON DELETE SET NULL",
            vec![of_x("matters", "`on_delete` is cascade in the entity and set_null in the database, which is what happens; let them say the same")],
        ),
        (
            "x: {type: uuid, foreign_key: {entity: User, field: id, on_delete: cascade}}",
            "x CHAR(36) CHARACTER SET ascii COLLATE ascii_bin, INDEX (x)",
            vec![of_x("matters", "the database has no foreign key to `users` (`id`): rows can refer to nothing, and `on_delete: cascade` does not happen; add the constraint there, or leave `foreign_key` out")],
        ),
        (
            "x: {type: uuid, foreign_key: {entity: User, field: id, on_delete: cascade}}",
            "x CHAR(36) COLLATE utf8mb4_unicode_ci, INDEX (x); ALTER TABLE users MODIFY id CHAR(36) COLLATE utf8mb4_general_ci",
            vec![
                of_x("refuses", "it refers to the column `id` of the table `users`, and the database does not compare the two (`char(36)`, collation utf8mb4_unicode_ci and `char(36)`, collation utf8mb4_general_ci): whatever follows the link would fail; give both the same type and collation, or leave `foreign_key` out"),
                of_x("matters", "the database has no foreign key to `users` (`id`): rows can refer to nothing, and `on_delete: cascade` does not happen; add the constraint there, or leave `foreign_key` out"),
            ],
        ),
        (
            "x: {type: uuid}",
            "x UUID, y INT NOT NULL, z INT NOT NULL DEFAULT 1, n BIGINT NOT NULL AUTO_INCREMENT UNIQUE",
            vec![
                "matters `User` (table `users`): the column `y` takes no row without a value, and no field names it: every create fails; add a field for it, give it a default there, or say `read_only: true`".to_owned(),
                "advice `User` (table `users`): the database lets no two rows agree in n, of which the entity says nothing; say `unique`, for those who read the entity; a conflict is answered 409 either way".to_owned(),
                "advice `User` (table `users`): no field names `z`, `n`; nothing, if clients shall not see them".to_owned(),
            ],
        ),
        (
            "x: {type: uuid}",
            "x UUID; ALTER TABLE users ENGINE=Aria",
            vec!["refuses `User` (table `users`): its engine knows no transactions, so what must be undone would stay; let the table have one that does (`ENGINE=InnoDB`), or say `read_only: true`".to_owned()],
        ),
        (
            "x: {type: uuid}",
            "x UUID; ALTER TABLE users DROP PRIMARY KEY",
            vec!["refuses `User.id` (column `id` of the table `users`): it is the entity's key, and nothing in the database makes it unique; make it the primary key there, or let `dbal schema apply` make a unique index".to_owned()],
        ),
    ] {
        let entities = USER.replace("\n---", &format!("\n  {field}\n---"));
        let (column, then) = column.split_once("; ").unwrap_or((column, ""));
        let sql = format!("{}; {then}", USERS.replace("UNIQUE)", &format!("UNIQUE, {column})")));
        assert_eq!(found(&entities, &sql), said, "{field} / {column}; {then}");
    }
}

/// What MySQL has another word for, another collation, or another type than MariaDB.
#[test]
fn each_difference_is_told_of_mysql_too() {
    let users = USERS.replace("utf8mb4_nopad_bin", "utf8mb4_0900_bin").replace(
        "CHARACTER SET ascii COLLATE ascii_bin ",
        "COLLATE utf8mb4_0900_ai_ci ",
    );
    let of_x =
        |weight: &str, what: &str| format!("{weight} `User.x` (column `x` of the table `users`): {what}");
    for (field, column, said) in [
        ("x: {type: text}", "X LONGTEXT", vec![]),
        ("x: {type: boolean}", "x TINYINT(1)", vec![]),
        ("x: {type: boolean}", "x BIT(1)", vec![]),
        ("x: {type: json}", "x JSON", vec![]),
        ("x: {type: uuid}", "x CHAR(36)", vec![]),
        ("x: {type: bigint, min: 0}", "x BIGINT UNSIGNED", vec![]),
        ("x: {type: datetime}", "x DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3)", vec![]),
        ("x: {type: enum, values: [new, 'it''s']}", "x ENUM('new', 'it''s')", vec![]),
        (
            "x: {type: integer}",
            "x INT UNSIGNED",
            vec![of_x("matters", "the field allows numbers beyond the 0 to 4294967295 that the database takes; say `min: 0, max: 2147483647`")],
        ),
        (
            "x: {type: string}",
            "`X X` TEXT",
            vec![
                of_x("refuses", "there is no such column; add it to the table, correct `column`, or leave the field out"),
                "advice `User` (table `users`): no field names `X X`; nothing, if clients shall not see them".to_owned(),
            ],
        ),
        (
            "x: {type: enum, values: [new, older]}",
            "x ENUM('new', 'old')",
            vec![of_x("matters", "the database does not take `older`, which the field takes; take them out of `values`, or add them there")],
        ),
        (
            "x: {type: string, unique: true, max_length: 50}",
            "x VARCHAR(50) COLLATE utf8mb4_0900_ai_ci UNIQUE",
            vec![of_x("matters", "by its collation utf8mb4_0900_ai_ci texts that differ are one to its unique indexes and references: the second of them is answered 409; give it one that tells all texts apart")],
        ),
        (
            "x: {type: integer}",
            "x INT AS (length(email)) STORED",
            vec![of_x("matters", "the database computes it, and the daemon writes every field of a new row; leave the field out, or say `read_only: true`")],
        ),
        (
            "x: {type: uuid}",
            "x CHAR(36), z INT NOT NULL DEFAULT 1, w LONGTEXT NOT NULL DEFAULT ('it''s'), n BIGINT NOT NULL AUTO_INCREMENT UNIQUE",
            vec![
                "advice `User` (table `users`): the database lets no two rows agree in n, of which the entity says nothing; say `unique`, for those who read the entity; a conflict is answered 409 either way".to_owned(),
                "advice `User` (table `users`): no field names `z`, `w`, `n`; nothing, if clients shall not see them".to_owned(),
            ],
        ),
        (
            "x: {type: uuid}",
            "x CHAR(36); ALTER TABLE users ENGINE=MEMORY",
            vec!["refuses `User` (table `users`): its engine knows no transactions, so what must be undone would stay; let the table have one that does (`ENGINE=InnoDB`), or say `read_only: true`".to_owned()],
        ),
    ] {
        let entities = USER.replace("\n---", &format!("\n  {field}\n---"));
        let (column, then) = column.split_once("; ").unwrap_or((column, ""));
        let sql = format!("{}; {then}", users.replace("UNIQUE)", &format!("UNIQUE, {column})")));
        let (inspection, _) = database_on(MySql::shared(), &sql);
        assert_eq!(found_in(&inspection, &entities), said, "{field} / {column}; {then}");
    }
}

#[test]
fn what_a_view_is_and_what_the_case_of_a_tables_name_does_is_told() {
    let view = "CREATE TABLE t (id CHAR(36), email VARCHAR(255)); CREATE VIEW users AS SELECT * FROM t";
    assert_eq!(
        found(USER, view),
        [
            "matters `User` (table `users`): it is a view or a virtual table, which may take no rows; say `read_only: true`"
        ]
    );
    assert_eq!(
        found(&USER.replace("\n---", "\nread_only: true\n---"), view),
        [""; 0]
    );
    let said = found(USER, &USERS.replace("users", "Users"));
    assert!(
        said[0].contains("there is no such table in the database `test") && said.len() == 1,
        "{said:?}"
    );
}

#[test]
fn rights_that_are_missing_are_told_and_what_a_role_gives_is_not_called_missing() {
    let (_, name) = database(&USERS.replace("UNIQUE)", "UNIQUE, x LONGTEXT)"));
    let server = MariaDb::shared();
    let mut config = config(server, &name);
    let entities = USER.replace("\n---", "\n  x: {type: text}\n---");
    server.sql(
        "",
        &format!(
            "CREATE USER some_{name}@'%' IDENTIFIED BY '{PASSWORD}'; \
             GRANT SELECT (id, email), INSERT (id, email, x) ON {name}.users TO some_{name}@'%'; \
             GRANT ALL ON {name}.dbal_idempotency TO some_{name}@'%'; \
             CREATE USER many_{name}@'%' IDENTIFIED BY '{PASSWORD}'; CREATE ROLE role_{name}; \
             GRANT ALL ON {name}.* TO role_{name}; GRANT role_{name} TO many_{name}@'%'; \
             SET DEFAULT ROLE role_{name} FOR many_{name}@'%'"
        ),
    );
    config.user = format!("some_{name}");
    let few = Inspection::open(&config).unwrap();
    assert_eq!(
        found_in(&few, &entities),
        [
            "refuses `User.x` (column `x` of the table `users`): the worker's user has no right to read it; grant SELECT on the table, or leave the field out",
            "matters `User` (table `users`): the worker's user has no right to UPDATE, DELETE; grant it, if the policy lets anybody do that, or say `read_only: true`",
        ]
    );
    config.user = format!("many_{name}");
    let by_role = Inspection::open(&config).unwrap();
    assert_eq!(found_in(&by_role, &entities), [""; 0]);
    // A name with a sign in it that stands before the host, and rights to one table alone.
    server.sql(
        "",
        &format!(
            "CREATE USER 'a@{name}'@'%' IDENTIFIED BY '{PASSWORD}'; GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.users TO 'a@{name}'@'%'; \
             DROP INDEX email ON {name}.users"
        ),
    );
    config.user = format!("a@{name}");
    let one_table = Inspection::open(&config).unwrap();
    let said = found_in(&one_table, &entities);
    assert!(
        said[0].contains("let the table's owner make the index"),
        "{said:?}"
    );
    assert!(said[1].contains("the worker's own table is missing"), "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");
    let catalog = one_table.catalog().unwrap();
    assert_eq!(catalog.table("users").unwrap().forbidden, [""; 0]);
}

/// Nothing is taken back here: what stops half-way is told, and the next run makes the rest.
#[test]
fn what_stops_half_way_says_what_is_there_and_the_next_run_makes_the_rest() {
    let sql = format!(
        "{}; INSERT INTO users VALUES ('1', 'x'), ('2', 'x')",
        USERS.replace(" UNIQUE", "")
    );
    let (inspection, name) = database(&sql);
    let entities = format!("{USER}{EVERY_TYPE}");
    let schema = schema(&entities);
    let server = MariaDb::shared();
    // The index over rows that are not unique comes last, and fails.
    let error = dbal_daemon::causes(&inspection.make(&schema).unwrap_err());
    for words in [
        "not all that is missing can be made",
        "this much is: the table `Every `thing`` of `Everything`, the table `Other` of `Other`;",
        "For `User.email`",
        "agree in what is to be unique",
    ] {
        assert!(error.contains(words), "{error}");
    }
    let left: Vec<String> = found_in(&inspection, &entities);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].contains("no index of the database does"), "{left:?}");
    server.sql(&name, "DELETE FROM users WHERE id = '2'");
    assert_eq!(
        inspection.make(&schema).unwrap(),
        ["a unique index over email of the table `users`"]
    );
    assert_eq!(found_in(&inspection, &entities), [""; 0]);
    // Indexes that a cut between a table and its indexes leaves out are made as well.
    server.sql(
        &name,
        "DROP INDEX ef ON `Every ``thing```; DROP INDEX gh ON `Every ``thing```",
    );
    assert_eq!(inspection.make(&schema).unwrap().len(), 2);
    assert_eq!(found_in(&inspection, &entities), [""; 0]);
    // So is a table that another one refers to already, as a cut in a circle leaves it.
    server.sql(&name, "SET foreign_key_checks = 0; DROP TABLE Other");
    assert_eq!(
        inspection.make(&schema).unwrap(),
        ["the table `Other` of `Other`"]
    );
    assert_eq!(found_in(&inspection, &entities), [""; 0]);
}

#[test]
fn several_who_make_the_same_at_once_wait_for_one_another() {
    let server = MariaDb::shared();
    let name = server.database();
    let schema = schema(&format!("{USER}{EVERY_TYPE}"));
    let made = std::thread::scope(|scope| {
        let run = || {
            let inspection = Inspection::open(&config(server, &name)).unwrap();
            inspection.make(&schema).unwrap().len()
        };
        let all: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        let made: Vec<usize> = all.into_iter().map(|one| one.join().unwrap()).collect();
        made.into_iter().sum::<usize>()
    });
    assert_eq!(made, 4, "each table was made by one of them");
}

#[test]
fn every_type_that_is_suggested_for_a_column_fits_it_and_where_there_is_none_it_is_told_why() {
    let (inspection, _) = database(
        "CREATE TABLE t (c_bool BOOL DEFAULT TRUE, c_bit1 BIT DEFAULT b'1', c_bit8 BIT(8), c_tiny TINYINT, c_small SMALLINT, c_medium MEDIUMINT,
            c_int INT, c_uint INT UNSIGNED ZEROFILL, c_big BIGINT NOT NULL AUTO_INCREMENT UNIQUE, c_ubig BIGINT UNSIGNED, c_float FLOAT, c_double DOUBLE,
            c_double2 DOUBLE(5,2), c_decimal DECIMAL(10,2) DEFAULT 1.50, c_char CHAR(3), c_ascii CHAR(36) CHARACTER SET ascii,
            c_varchar VARCHAR(5) DEFAULT 'it''s', c_tinytext TINYTEXT, c_text TEXT, c_longtext LONGTEXT, c_json JSON, c_enum ENUM('b', 'a') DEFAULT 'a',
            c_set SET('a', 'b'), c_date DATE, c_time TIME, c_year YEAR, c_datetime DATETIME DEFAULT now(), c_stamp TIMESTAMP(6) NULL,
            c_binary BINARY(3), c_varbinary VARBINARY(3), c_blob BLOB, c_uuid UUID, c_inet INET6, c_point POINT,
            c_computed INT AS (c_int * 2) VIRTUAL,
            UNIQUE INDEX begins (c_longtext(7), c_int), FULLTEXT INDEX words (c_text), CHECK (c_int > 0),
            CONSTRAINT named CHECK (c_small > 1)); \
         CREATE SEQUENCE counter; CREATE TRIGGER told BEFORE INSERT ON t FOR EACH ROW SET NEW.c_int = 5",
    );
    let catalog = inspection.catalog().unwrap();
    assert!(catalog.table("counter").is_none());
    let table = catalog.table("t").unwrap();
    let mut none = Vec::new();
    for column in &table.columns {
        match (catalog.types.suggest)(column) {
            Some(kind) => {
                let fit = (catalog.types.fit)(column, kind);
                assert!(
                    matches!(fit, Fit::Whole | Fit::Partly(_)),
                    "{column:?} {kind:?} {fit:?}"
                );
            }
            None => none.push(column.name.as_str()),
        }
    }
    assert_eq!(none, ["c_bit8", "c_set", "c_time", "c_year", "c_inet", "c_point"]);
    let column = |name: &str| table.column(name, catalog.names).unwrap();
    for (name, kind, fill, range) in [
        (
            "c_bool",
            ColumnType::Boolean,
            Fill::Literal("1".to_owned()),
            Some((-128, 127)),
        ),
        ("c_bit1", ColumnType::Boolean, Fill::Literal("1".to_owned()), None),
        (
            "c_medium",
            ColumnType::Integer,
            Fill::Nothing,
            Some((-8_388_608, 8_388_607)),
        ),
        (
            "c_uint",
            ColumnType::Bigint,
            Fill::Nothing,
            Some((0, 4_294_967_295)),
        ),
        (
            "c_big",
            ColumnType::Bigint,
            Fill::Counter,
            Some((i64::MIN, i64::MAX)),
        ),
        ("c_ubig", ColumnType::Bigint, Fill::Nothing, Some((0, i64::MAX))),
        (
            "c_decimal",
            ColumnType::Decimal,
            Fill::Literal("1.50".to_owned()),
            None,
        ),
        ("c_ascii", ColumnType::Uuid, Fill::Nothing, None),
        (
            "c_varchar",
            ColumnType::String,
            Fill::Literal("it's".to_owned()),
            None,
        ),
        ("c_json", ColumnType::Json, Fill::Nothing, None),
        ("c_enum", ColumnType::Enum, Fill::Literal("a".to_owned()), None),
        (
            "c_datetime",
            ColumnType::Datetime,
            Fill::Expression("current_timestamp()".to_owned()),
            None,
        ),
        ("c_uuid", ColumnType::Uuid, Fill::Nothing, None),
        (
            "c_computed",
            ColumnType::Integer,
            Fill::Computed,
            Some((-2_147_483_648, 2_147_483_647)),
        ),
    ] {
        let found = column(name);
        assert_eq!(
            ((catalog.types.suggest)(found), &found.fill, found.range),
            (Some(kind), &fill, range),
            "{name}"
        );
    }
    assert_eq!(column("c_enum").values, ["b", "a"]);
    assert_eq!(
        (column("c_tinytext").max_length, column("c_longtext").max_length),
        (Some(63), None)
    );
    let begins = table.indexes.iter().find(|index| index.name == "begins").unwrap();
    assert_eq!((begins.extent, begins.columns.len()), (Extent::Beginnings, 2));
    assert_eq!(
        table.notes,
        [
            "the constraint `CONSTRAINT_1` refuses rows: `c_int` > 0",
            "the constraint `named` refuses rows: `c_small` > 1",
            "the index `words` (FULLTEXT) is left out: an entity's are b-trees",
            "the trigger `told` runs when rows are written",
        ]
    );
}

#[test]
fn a_worker_that_may_not_make_what_is_missing_starts_where_all_is_there() {
    let (_, name) = database(USERS);
    let server = MariaDb::shared();
    let mut config = config(server, &name);
    server.sql(
        "",
        &format!(
            "CREATE USER reads_{name}@'%' IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON {name}.* TO reads_{name}@'%'"
        ),
    );
    config.user = format!("reads_{name}");
    let schema = schema(USER);
    assert!(crate::database::mysql::open(&config, &schema).is_ok());
    server.sql(&name, "DROP TABLE users");
    let Err(error) = crate::database::mysql::open(&config, &schema) else {
        panic!("there is nothing to serve");
    };
    let error = dbal_daemon::causes(&error);
    assert!(error.contains("CREATE command denied"), "{error}");
    config.create_tables = false;
    let findings = Inspection::open(&config).unwrap();
    let findings = compare(&schema, &findings.catalog().unwrap());
    assert_eq!(findings[0].weight, Weight::Refuses);
}
