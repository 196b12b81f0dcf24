//! `dbal schema` as an operator runs it, as far as no database is needed.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn schema(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dbal"))
        .arg("schema")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder `entities` with one file.
fn entities(text: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("entities")).unwrap();
    fs::write(dir.path().join("entities/all.yaml"), text).unwrap();
    dir
}

#[test]
fn ddl_prints_every_table_and_index_as_a_script() {
    let dir = entities(
        "\
entity: Author
fields: {id: {type: integer, primary: true}, name: {type: string, unique: true, required: true}}
---
entity: Book
table: the \"books\"
fields:
  id: {type: uuid, primary: true, generated: true}
  authorId: {type: integer, required: true, column: author, foreign_key: {entity: Author, on_delete: cascade}}
indexes: [{fields: [authorId, id], unique: true, name: both}]
",
    );
    let script = out(&schema(
        &["ddl", "--entities", "entities", "--database", "sqlite"],
        dir.path(),
    ));
    let (first, rest) = script.split_once('\n').unwrap();
    assert!(
        first.starts_with("-- for sqlite; entities: 2; schema "),
        "{first}"
    );
    assert_eq!(
        rest,
        r#"CREATE TABLE IF NOT EXISTS "Author" ("id" INTEGER PRIMARY KEY NOT NULL, "name" TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS "the ""books""" ("id" TEXT PRIMARY KEY NOT NULL, "author" INTEGER NOT NULL REFERENCES "Author" ("id") ON DELETE CASCADE) STRICT;
CREATE INDEX IF NOT EXISTS "the ""books""_author_index" ON "the ""books""" ("author");
CREATE UNIQUE INDEX IF NOT EXISTS "both" ON "the ""books""" ("author", "id");
-- The worker's own table: answers to calls with an idempotency key.
CREATE TABLE IF NOT EXISTS "dbal_idempotency" ("key" TEXT PRIMARY KEY NOT NULL, "request" TEXT NOT NULL, "answer" TEXT NOT NULL, "affected" INTEGER NOT NULL, "created" INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS "dbal_idempotency_created_index" ON "dbal_idempotency" ("created");
"#
    );
}

#[test]
fn ddl_for_postgresql_makes_a_table_after_those_it_refers_to_and_closes_circles_at_the_end() {
    let dir = entities(
        "\
entity: A
fields: {id: {type: integer, primary: true}, b: {type: integer, nullable: true, foreign_key: {entity: B, on_delete: set_null}}}
---
entity: B
fields: {id: {type: integer, primary: true}, a: {type: integer, nullable: true, foreign_key: {entity: A, on_delete: restrict}}}
---
entity: C
fields: {id: {type: integer, primary: true}, d: {type: integer, nullable: true, foreign_key: {entity: D, field: n, on_delete: cascade}}}
---
entity: D
fields: {id: {type: decimal, column: \"I D\", unique: true}, n: {type: integer, primary: true}}
",
    );
    let script = out(&schema(
        &["ddl", "--entities", "entities", "--database", "postgresql"],
        dir.path(),
    ));
    let begins: Vec<String> = script
        .lines()
        .map(|line| line.split_whitespace().take(6).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        begins,
        [
            "-- for postgresql; entities: 4; schema",
            r#"CREATE TABLE IF NOT EXISTS "D""#,
            r#"CREATE TABLE IF NOT EXISTS "C""#,
            r#"CREATE TABLE IF NOT EXISTS "A""#,
            r#"CREATE TABLE IF NOT EXISTS "B""#,
            r#"CREATE INDEX IF NOT EXISTS "C_d_index""#,
            r#"CREATE INDEX IF NOT EXISTS "A_b_index""#,
            r#"CREATE INDEX IF NOT EXISTS "B_a_index""#,
            "-- The worker's own table: answers",
            r#"CREATE TABLE IF NOT EXISTS "dbal_idempotency""#,
            r#"CREATE INDEX IF NOT EXISTS "dbal_idempotency_created_index""#,
            "-- Tables that refer to one",
            r#"ALTER TABLE "A" ADD CONSTRAINT "A_b_fkey""#,
        ],
        "{script}"
    );
}

#[test]
fn ddl_says_what_other_programs_cannot_run_and_what_it_does_not_know() {
    let dir = entities("entity: Price\nfields: {id: {type: integer}, amount: {type: decimal}}\n");
    let script = out(&schema(
        &["ddl", "--entities", "entities", "--database", "sqlite"],
        dir.path(),
    ));
    assert!(script.contains("-- The collation dbal_decimal"), "{script}");
    let unknown = schema(
        &["ddl", "--entities", "entities", "--database", "oracle"],
        dir.path(),
    );
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        err(&unknown).contains("possible values: sqlite"),
        "{}",
        err(&unknown)
    );
    fs::write(dir.path().join("entities/all.yaml"), "entity: Price\nfelds: {}\n").unwrap();
    let broken = schema(
        &["ddl", "--entities", "entities", "--database", "sqlite"],
        dir.path(),
    );
    assert_eq!(broken.status.code(), Some(1));
    assert!(err(&broken).contains("entities/all.yaml:2:1"), "{}", err(&broken));
}

#[test]
fn a_prisma_schema_becomes_files_once_and_what_is_not_in_them_is_told() {
    let dir = TempDir::new().unwrap();
    let at = dir.path();
    fs::write(at.join("schema.prisma"), include_str!("shop.prisma")).unwrap();
    let import = |out: &str| schema(&["import-prisma", "schema.prisma", "--out", out], at);
    let first = import("entities");
    // A model is left out.
    assert_eq!(first.status.code(), Some(1));
    let said = err(&first);
    assert!(
        said.contains("error: schema.prisma:112:3: `StockInWarehouse` is left out"),
        "{said}"
    );
    assert!(
        said.contains("warning: schema.prisma:35:3: `User.tags` is left out"),
        "{said}"
    );
    assert!(said.contains("`passwordHash` looks like a secret"), "{said}");
    assert_eq!(fs::read_dir(at.join("entities")).unwrap().count(), 8);
    let script = schema(&["ddl", "--entities", "entities", "--database", "sqlite"], at);
    assert!(out(&script).contains(r#"CREATE TABLE IF NOT EXISTS "order_items""#));

    let again = import("entities");
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("exists already"), "{}", err(&again));

    fs::write(at.join("schema.prisma"), "model A {\n  id Int @id\n}\n").unwrap();
    let simple = import("simple");
    assert_eq!(out(&simple), "simple: entity files: 1\n");
    assert_eq!(
        fs::read_to_string(at.join("simple/a.yaml")).unwrap(),
        "entity: A\nfields:\n  id: {type: integer, primary: true}\n"
    );
    assert_eq!(import("simple").status.code(), Some(2));
    assert_eq!(
        schema(&["import-prisma", "none", "--out", "x"], at).status.code(),
        Some(1)
    );
}
