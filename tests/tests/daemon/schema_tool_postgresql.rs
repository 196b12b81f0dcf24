//! `dbal schema` on a live PostgreSQL.

use std::fs;

use dbal_servers::postgres::{PASSWORD, Postgres};

use super::schema_tool::{Place, err, out};

/// A place whose worker owns a new database, and the database's name.
fn place(server: &Postgres) -> (Place, String) {
    let name = server.database();
    let database = format!(
        "{{postgresql: {{host: localhost, port: {}, database: {name}, user: {name}, password: \"{PASSWORD}\", \
         ca_file: \"{}\"}}}}",
        server.port(),
        server.ca_file().display()
    );
    (Place::with(&database, None), name)
}

/// Every type, a circle, a name that needs quotes, names that are too long together.
const CIRCLE: &str = r#"
entity: Person
table: the "people" $1 :x
fields:
  id:     {type: uuid, primary: true, generated: true}
  email:  {type: email, required: true, unique: true}
  spouse: {type: uuid, nullable: true, foreign_key: {entity: Person, on_delete: set_null}}
  home:   {type: bigint, nullable: true, foreign_key: {entity: House, on_delete: set_null}}
---
entity: House
table: a_house_whose_name_is_nearly_as_long_as_a_name_may_be_in_here
fields:
  id:    {type: bigint, primary: true}
  owner: {type: uuid, required: true, foreign_key: {entity: Person, on_delete: cascade}}
  other: {type: uuid, nullable: true, foreign_key: {entity: Person, on_delete: restrict}}
  a: {type: cuid}
  b: {type: string, max_length: 3}
  c: {type: text, required: true, index: true}
  d: {type: enum, values: [x]}
  e: {type: integer, default: 1}
  f: {type: float}
  g: {type: decimal, unique: true}
  h: {type: boolean}
  i: {type: date}
  j: {type: datetime, generated: true}
  k: {type: json}
  l: {type: bytes}
indexes: [{fields: [d, e], unique: true, name: de}, {fields: [f, g], name: fg}]
"#;

const COUNTS: &str = "SELECT (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace), \
    (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'), (SELECT count(*) FROM pg_constraint WHERE contype = 'f')";

#[test]
fn what_ddl_prints_runs_in_psql_as_it_is_and_a_second_time_changes_nothing() {
    let server = Postgres::shared();
    let (place, name) = place(server);
    place.entities(CIRCLE);
    let script = place.run(dbal_tests::binaries::command("dbal").args([
        "schema",
        "ddl",
        "--entities",
        "entities",
        "--database",
        "postgresql",
    ]));
    assert!(script.status.success(), "{}", err(&script));
    let file = place.at().join("all.sql");
    fs::write(&file, out(&script)).unwrap();
    let first = server.file(&name, &file);
    assert!(first.status.success(), "{}", err(&first));
    assert_eq!(err(&first), "", "not even a notice");
    let made = server.sql(&name, COUNTS);
    assert_eq!(made, "3|13|4");
    // It stops at the constraint that closes the circle, as the script says.
    let second = server.file(&name, &file);
    assert!(err(&second).contains("already exists"), "{}", err(&second));
    assert_eq!(server.sql(&name, COUNTS), made);
}
