//! Names and keys of tables that we make.

use dbal_schema::{Schema, Source};

use super::{Fixture, T};
use crate::{POSTGRES, SQLITE};

#[test]
fn names_that_are_made_of_long_names_are_as_long_as_they_may_be_and_no_two_alike() {
    let (table, begin) = ("t".repeat(62), "ü".repeat(30));
    let entities = format!(
        "entity: A
table: {table}
fields:
  id: {{type: integer, primary: true}}
  a:  {{type: integer, index: true, column: {begin}a}}
  b:  {{type: integer, index: true, column: {begin}b}}
"
    );
    let source = Source {
        name: "test.yaml".to_owned(),
        text: entities,
    };
    let schema = Schema::parse(&[source]).unwrap().schema;
    let statements = crate::ddl::create_tables(&schema, &POSTGRES).unwrap();
    let name = |nth: usize| statements[nth].sql().split('"').nth(1).unwrap();
    assert_eq!((name(1).len(), name(2).len()), (63, 63), "{statements:?}");
    assert_ne!(name(1), name(2));
    assert!(name(1).ends_with("_index"), "{}", name(1));
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
