//! Entities against real PostgreSQL tables: everything that can differ there, one case each; what is made, and what is not.

use dbal_schema::{ColumnType, Schema, Source};
use dbal_servers::postgres::Postgres;

use super::super::open::Inspection;
use super::config;
use crate::database::catalog::{Catalog, Fill, Fit};
use crate::database::compare::{Weight, compare};

const USER: &str = "
entity: User
table: users
fields:
  id:    {type: uuid, primary: true, generated: true}
  email: {type: email, required: true, unique: true}
---
";

const USERS: &str = "CREATE TABLE users (id uuid PRIMARY KEY, email text NOT NULL UNIQUE)";

fn schema(entities: &str) -> Schema {
    let source = Source {
        name: "test.yaml".to_owned(),
        text: entities.to_owned(),
    };
    Schema::parse(&[source]).unwrap().schema
}

/// A database with these tables, of the user who looks at them, and its name.
fn database(sql: &str) -> (Inspection, String) {
    let server = Postgres::shared();
    let name = server.database();
    let inspection = Inspection::open(&config(server, &name)).unwrap();
    inspection.make(&schema(USER)).unwrap();
    server.sql(
        &name,
        &format!("DROP TABLE users; SET ROLE {name}; {sql}").replace("CURRENT_NAME", &name),
    );
    (inspection, name)
}

fn found(entities: &str, sql: &str) -> Vec<String> {
    let (inspection, _) = database(sql);
    let findings = compare(&schema(entities), &inspection.catalog().unwrap());
    let shown = |finding: &crate::database::compare::Finding| format!("{} {finding}", finding.weight.name());
    findings.iter().map(shown).collect()
}

#[test]
fn nothing_differs_in_the_tables_that_the_daemon_makes() {
    let every_type = "
entity: Everything
table: Every \"thing\"
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
  n: {type: bigint, foreign_key: {entity: Other, field: id, on_delete: restrict}}
indexes: [{fields: [e, f], unique: true, name: ef}, {fields: [g, h], name: gh}]
---
entity: Other
fields:
  id: {type: bigint, primary: true}
  x:  {type: bigint, foreign_key: {entity: Everything, field: id, on_delete: cascade}}
";
    let schema = schema(&format!("{USER}{every_type}"));
    let server = Postgres::shared();
    let name = server.database();
    let inspection = Inspection::open(&config(server, &name)).unwrap();
    let made = inspection.make(&schema).unwrap();
    assert_eq!(
        made,
        [
            "the table `users` of `User`",
            "the table `Every \"thing\"` of `Everything`",
            "the table `Other` of `Other`",
            "the worker's own table `dbal_idempotency`",
        ]
    );
    let after = compare(&schema, &inspection.catalog().unwrap());
    assert!(after.is_empty(), "{after:?}");
    assert_eq!(inspection.make(&schema).unwrap(), [""; 0]);
}

#[test]
fn each_difference_is_told_with_what_it_comes_to() {
    assert_eq!(found(USER, USERS), [""; 0]);
    for (field, column, said) in [
        (
            "x: {type: string}",
            "\"X\" text",
            vec![
                "refuses `User.x` (column `x` of the table `users`): there is no such column; add it to the table, correct `column`, or leave the field out",
                "advice `User` (table `users`): no field names `X`; nothing, if clients shall not see them",
            ],
        ),
        (
            "x: {type: string}",
            "x citext_like",
            vec![
                "refuses `User.x` (column `x` of the table `users`): its type is `citext_like (text)`: texts that are different are equal there; change it, or leave the field out",
            ],
        ),
        (
            "x: {type: string}",
            "x text[]",
            vec![
                "refuses `User.x` (column `x` of the table `users`): its type is `text[]`: it holds several values, which only a field of type json does, of types that have one; change it, or leave the field out",
            ],
        ),
        (
            "x: {type: datetime}",
            "x time with time zone",
            vec![
                "refuses `User.x` (column `x` of the table `users`): its type is `time with time zone`, which can't hold what the field's type datetime needs (usable are timestamptz, timestamp); change the type of one of the two",
            ],
        ),
        (
            "x: {type: datetime}",
            "x timestamp(0)",
            vec![
                "matters `User.x` (column `x` of the table `users`): its type is `timestamp(0) without time zone`: it keeps fewer digits of a second than three; change the type of one of the two",
            ],
        ),
        ("x: {type: datetime}", "x timestamp", vec![]),
        ("x: {type: json}", "x jsonb", vec![]),
        ("x: {type: uuid}", "x varchar(36)", vec![]),
        (
            "x: {type: uuid}",
            "x varchar(35)",
            vec![
                "refuses `User.x` (column `x` of the table `users`): its type is `character varying(35)`, which can't hold what the field's type uuid needs (usable are uuid, text, varchar, bpchar); change the type of one of the two",
            ],
        ),
        (
            "x: {type: decimal}",
            "x amount",
            vec![
                "matters `User.x` (column `x` of the table `users`): its type is `amount (numeric(12,4))`: digits behind its last are rounded off, larger numbers refused; change the type of one of the two",
            ],
        ),
        (
            "x: {type: decimal}",
            "x int8",
            vec![
                "matters `User.x` (column `x` of the table `users`): its type is `bigint`: it takes whole numbers only; change the type of one of the two",
            ],
        ),
        (
            "x: {type: float}",
            "x float4",
            vec![
                "matters `User.x` (column `x` of the table `users`): its type is `real`: it keeps about 7 digits of a number's 16; change the type of one of the two",
            ],
        ),
        (
            "x: {type: string, max_length: 9}",
            "x char(9)",
            vec![
                "matters `User.x` (column `x` of the table `users`): its type is `character(9)`: blanks at the end of a text are lost there; change the type of one of the two",
            ],
        ),
        (
            "x: {type: string, max_length: 9}",
            "x varchar(8)",
            vec![
                "matters `User.x` (column `x` of the table `users`): the field allows longer values than the 8 that the database takes; say `max_length: 8`",
            ],
        ),
        (
            "x: {type: integer}",
            "x int2",
            vec![
                "matters `User.x` (column `x` of the table `users`): the field allows numbers beyond the -32768 to 32767 that the database takes; say `min: -32768, max: 32767`",
            ],
        ),
        ("x: {type: bigint, min: 0, max: 32767}", "x int2", vec![]),
        ("x: {type: integer}", "x int8", vec![]),
        ("x: {type: enum, values: [new, old]}", "x st", vec![]),
        (
            "x: {type: enum, values: [new, older]}",
            "x st",
            vec![
                "matters `User.x` (column `x` of the table `users`): the database does not take `older`, which the field takes; take them out of `values`, or add them there",
            ],
        ),
        (
            "x: {type: string}",
            "x st",
            vec![
                "refuses `User.x` (column `x` of the table `users`): its type is `st`, which can't hold what the field's type string needs (usable are text, varchar, bpchar); change the type of one of the two",
                "matters `User.x` (column `x` of the table `users`): the database has a list of the values that it takes, and the field takes any; say `type: enum, values: [new, old]`",
            ],
        ),
        (
            "x: {type: enum, values: [new]}",
            "x of_st",
            vec![
                "refuses `User.x` (column `x` of the table `users`): its type is `of_st (st)`: a domain over an enum can be compared with nothing; change it, or leave the field out",
            ],
        ),
        (
            "x: {type: text}",
            "x never_null",
            vec![
                "matters `User.x` (column `x` of the table `users`): the field may be left out or null, and the database refuses NULL there; say `required: true` or give it a `default`, or allow NULL",
            ],
        ),
        (
            "x: {type: bigint, required: true}",
            "x int8 GENERATED ALWAYS AS IDENTITY",
            vec![
                "matters `User.x` (column `x` of the table `users`): the database counts it up and takes no other number, and the daemon writes every field of a new row: every create fails; let it take others (`GENERATED BY DEFAULT`), or say `read_only: true`",
            ],
        ),
        (
            "x: {type: bigint, required: true}",
            "x int8 GENERATED BY DEFAULT AS IDENTITY",
            vec![],
        ),
        (
            "x: {type: integer}",
            "x int4 GENERATED ALWAYS AS (length(email)) STORED",
            vec![
                "matters `User.x` (column `x` of the table `users`): the database computes it, and the daemon writes every field of a new row; leave the field out, or say `read_only: true`",
            ],
        ),
        (
            "x: {type: text, unique: true}",
            "x text; CREATE UNIQUE INDEX part ON users (x) WHERE x <> ''",
            vec![
                "matters `User.x` (column `x` of the table `users`): the entity says that `x` is unique, and no index of the database does; `dbal schema apply` makes the index",
            ],
        ),
        (
            "x: {type: text, unique: true}",
            "x text; CREATE UNIQUE INDEX lower_x ON users (lower(x))",
            vec![
                "matters `User.x` (column `x` of the table `users`): the entity says that `x` is unique, and no index of the database does; `dbal schema apply` makes the index",
            ],
        ),
        (
            "x: {type: text, index: true}",
            "x text; CREATE INDEX hashed ON users USING hash (x)",
            vec![
                "advice `User.x` (column `x` of the table `users`): no index begins with `x`, as the entity wants it; `dbal schema apply` makes the index",
            ],
        ),
        (
            "x: {type: text}",
            "x text, UNIQUE (x)",
            vec![
                "advice `User` (table `users`): the database lets no two rows agree in x, of which the entity says nothing; say `unique`, for those who read the entity; a conflict is answered 409 either way",
            ],
        ),
        (
            "x: {type: uuid, unique: true, foreign_key: {entity: User, on_delete: cascade}}",
            "x uuid UNIQUE",
            vec![
                "matters `User.x` (column `x` of the table `users`): the database has no foreign key to `users` (`id`): rows can refer to nothing, and `on_delete: cascade` does not happen; add the constraint there, or leave `foreign_key` out",
            ],
        ),
        (
            "x: {type: uuid, unique: true, foreign_key: {entity: User, on_delete: cascade}}",
            "x uuid UNIQUE REFERENCES users ON DELETE SET DEFAULT",
            vec![
                "matters `User.x` (column `x` of the table `users`): `on_delete` is cascade in the entity and something that no entity can say in the database, which is what happens; let them say the same",
            ],
        ),
        (
            "x: {type: text}",
            "x text, y int NOT NULL, z int NOT NULL DEFAULT 1",
            vec![
                "matters `User` (table `users`): the column `y` takes no row without a value, and no field names it: every create fails; add a field for it, give it a default there, or say `read_only: true`",
                "advice `User` (table `users`): no field names `z`; nothing, if clients shall not see them",
            ],
        ),
        (
            "x: {type: text}",
            "x text; REVOKE SELECT, DELETE ON users FROM CURRENT_NAME; GRANT SELECT (id, email) ON users TO CURRENT_NAME",
            vec![
                "refuses `User.x` (column `x` of the table `users`): the worker's user has no right to read it; grant SELECT on the table, or leave the field out",
                "matters `User` (table `users`): the worker's user has no right to DELETE; grant it, if the policy lets anybody do that, or say `read_only: true`",
            ],
        ),
    ] {
        let entities = USER.replace("\n---", &format!("\n  {field}\n---"));
        let (column, then) = column.split_once("; ").unwrap_or((column, ""));
        let sql = format!(
            "CREATE TYPE st AS ENUM ('new', 'old'); CREATE DOMAIN amount AS numeric(12, 4); \
             CREATE DOMAIN never_null AS text NOT NULL; CREATE DOMAIN of_st AS st; \
             CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
             CREATE DOMAIN citext_like AS text COLLATE any_case; {}; {then}",
            USERS.replace("UNIQUE)", &format!("UNIQUE, {column})"))
        );
        assert_eq!(found(&entities, &sql), said, "{field} / {column}; {then}");
    }
}

#[test]
fn a_link_that_needs_a_cast_is_refused_and_the_server_agrees_on_which_those_are() {
    let server = Postgres::shared();
    for (target, kind, target_type, own_type, is_compared) in [
        ("uuid", "uuid", "uuid", "text", false),
        ("uuid", "uuid", "char(36)", "uuid", false),
        ("uuid", "uuid", "char(36)", "varchar(40)", true),
        ("string", "enum, values: [a]", "text", "st", false),
        ("enum, values: [a]", "enum, values: [a]", "st", "st", true),
        ("enum, values: [a]", "enum, values: [a]", "st", "other_st", false),
        (
            "string",
            "string",
            "text COLLATE \"C\"",
            "text COLLATE \"und-x-icu\"",
            false,
        ),
        ("string", "string", "text", "text COLLATE \"und-x-icu\"", true),
        (
            "string",
            "text",
            "text COLLATE \"C\"",
            "varchar(9) COLLATE \"C\"",
            true,
        ),
        ("bigint", "integer", "int8", "int2", true),
        ("decimal", "decimal", "numeric(9, 2)", "int4", true),
        ("datetime", "datetime", "timestamptz", "timestamp(0)", true),
    ] {
        let entities = format!(
            "entity: To\nfields: {{id: {{type: {target}, primary: true}}}}\n---\nentity: From\nfields:\n  id: {{type: bigint, primary: true}}\n  \
             x: {{type: {kind}, foreign_key: {{entity: To, field: id, on_delete: restrict}}}}\n"
        );
        let sql = format!(
            "CREATE TYPE st AS ENUM ('a'); CREATE TYPE other_st AS ENUM ('a'); \
             CREATE TABLE \"To\" (id {target_type} PRIMARY KEY); CREATE TABLE \"From\" (id int8 PRIMARY KEY, x {own_type})"
        );
        let (inspection, name) = database(&sql);
        let findings = compare(&schema(&entities), &inspection.catalog().unwrap());
        let refused: Vec<String> = findings
            .iter()
            .filter(|finding| finding.weight == Weight::Refuses)
            .map(ToString::to_string)
            .collect();
        let wrong = format!("{target_type} {own_type}: {refused:?}");
        if is_compared {
            assert!(refused.is_empty(), "{wrong}");
        } else {
            let told = "`From.x` (column `x` of the table `From`): it refers to the column `id` of the table `To`, and the database does not compare the two";
            assert!(refused.len() == 1 && refused[0].starts_with(told), "{wrong}");
        }
        // The same question to the server.
        if target == "string" {
            // Collations are looked for when there is something to compare.
            server.sql(
                &name,
                "INSERT INTO \"To\" VALUES ('a'); INSERT INTO \"From\" VALUES (1, 'a')",
            );
        }
        let asked = "DO $$ BEGIN PERFORM 1 FROM \"From\" f JOIN \"To\" t ON f.x = t.id; RAISE NOTICE 'yes'; \
            EXCEPTION WHEN undefined_function OR indeterminate_collation OR datatype_mismatch THEN CREATE TABLE no (); END $$; \
            SELECT to_regclass('no') IS NULL";
        assert_eq!(
            server.sql(&name, asked).trim(),
            if is_compared { "t" } else { "f" },
            "{wrong}"
        );
    }
}

#[test]
fn what_is_in_another_schema_or_is_no_table_is_told() {
    assert_eq!(
        found(
            USER,
            &format!("CREATE SCHEMA other; SET search_path = other; {USERS}")
        ),
        [
            "refuses `User` (table `users`): there is no such table in the schema `public`; `dbal schema apply` makes it, `dbal schema ddl` prints how; or correct `table`"
        ]
    );
    let view = "CREATE TABLE t (id uuid, email text); CREATE VIEW users AS SELECT * FROM t";
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
    let parts = "CREATE TABLE users (id uuid PRIMARY KEY, email text NOT NULL) PARTITION BY HASH (id); \
        CREATE TABLE half PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 0)";
    let said = found(USER, parts);
    assert!(said[0].contains("says that `email` is unique"), "{said:?}");
    assert_eq!(said.len(), 1, "{said:?}");

    let server = Postgres::shared();
    let mut config = config(server, &server.database());
    config.schema = "no where".to_owned();
    let nowhere = Inspection::open(&config).unwrap();
    let findings = compare(&schema(USER), &nowhere.catalog().unwrap());
    let said = findings[0].to_string();
    assert!(
        said.contains("the schema `no where`: it does not exist"),
        "{said}"
    );
}

#[test]
fn what_can_not_all_be_made_is_not_made_at_all_and_of_others_tables_nothing() {
    let sql = "CREATE TABLE users (id uuid PRIMARY KEY, email text NOT NULL); \
        INSERT INTO users VALUES (gen_random_uuid(), 'x'), (gen_random_uuid(), 'x')";
    let (inspection, name) = database(sql);
    let schema = schema(&format!(
        "{USER}entity: Other\nfields: {{id: {{type: integer}}}}\n"
    ));
    let error = inspection.make(&schema).unwrap_err();
    let error = dbal_daemon::causes(&error);
    assert!(error.contains("nothing was. For `User.email`"), "{error}");
    assert!(inspection.catalog().unwrap().table("Other").is_none());
    // The same connection goes on.
    let server = Postgres::shared();
    server.sql(&name, "DELETE FROM users");
    let made = inspection.make(&schema).unwrap();
    assert_eq!(
        made,
        [
            "the table `Other` of `Other`",
            "a unique index over email of the table `users`"
        ]
    );
    assert!(compare(&schema, &inspection.catalog().unwrap()).is_empty());

    server.sql(
        &name,
        &format!(
            "DROP INDEX users_email_unique; ALTER TABLE users OWNER TO postgres; GRANT ALL ON users TO {name}"
        ),
    );
    let findings = compare(&schema, &inspection.catalog().unwrap());
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].weight, Weight::Matters);
    assert!(findings[0].repair.is_none());
    assert!(
        findings[0].advice.contains("let the table's owner"),
        "{findings:?}"
    );
    assert_eq!(inspection.make(&schema).unwrap(), [""; 0]);
}

#[test]
fn every_type_that_is_suggested_for_a_column_fits_it_and_where_there_is_none_it_is_told_why() {
    let (inspection, _) = database(
        "CREATE TYPE st AS ENUM ('b', 'a'); CREATE TYPE nothing AS ENUM (); CREATE TYPE pair AS (a int, b int);
         CREATE DOMAIN inner_d AS varchar(7) NOT NULL DEFAULT 'i'; CREATE DOMAIN outer_d AS inner_d;
         CREATE TABLE t (c_bool bool, c_int2 int2, c_int4 serial, c_int8 bigserial, c_float4 float4, c_float8 float8,
            c_numeric numeric, c_money money, c_text text, c_varchar varchar(5), c_char char(3), c_name name, c_uuid uuid,
            c_date date, c_time time, c_interval interval, c_ts timestamp, c_tz timestamptz(6), c_json json, c_jsonb jsonb,
            c_bytea bytea, c_st st DEFAULT 'a', c_nothing nothing, c_pair pair, c_pairs pair[], c_times time[], c_texts text[], c_dates date[][], c_sts st[], c_domain outer_d,
            c_inet inet, c_xml xml, c_bit bit(3), c_point point, c_range int4range, c_ts_vector tsvector, c_own t_own)"
            .replace("CREATE TABLE t ", "CREATE DOMAIN t_own AS int4 CHECK (value > 0); CREATE TABLE t ")
            .as_str(),
    );
    let catalog: Catalog = inspection.catalog().unwrap();
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
    assert_eq!(
        none,
        [
            "c_money",
            "c_name",
            "c_time",
            "c_interval",
            "c_nothing",
            "c_pair",
            "c_pairs",
            "c_times",
            "c_inet",
            "c_xml",
            "c_bit",
            "c_point",
            "c_range",
            "c_ts_vector"
        ]
    );
    let column = |name: &str| table.column(name, catalog.names).unwrap();
    assert_eq!(column("c_st").values, ["b", "a"]);
    assert_eq!(column("c_st").fill, Fill::Literal("a".to_owned()));
    assert_eq!(column("c_int8").fill, Fill::Counter);
    let domain = column("c_domain");
    assert_eq!(
        (
            domain.declared.as_str(),
            domain.max_length,
            domain.is_nullable,
            &domain.fill
        ),
        (
            "outer_d (character varying(7))",
            Some(7),
            false,
            &Fill::Literal("i".to_owned())
        )
    );
    assert_eq!(
        (catalog.types.suggest)(column("c_own")),
        Some(ColumnType::Integer)
    );
    assert!(matches!(
        (catalog.types.fit)(column("c_texts"), ColumnType::Text),
        Fit::Wrong(_)
    ));
}
