//! What a write reaches, on a real catalogue.

use dbal_schema::Source;
use rusqlite::Connection;

use super::*;
use crate::database::sqlite::catalog::catalog;

const ENTITIES: &str = "
entity: Team
fields: {id: {type: integer, primary: true}, code: {type: integer, unique: true}}
cache: {ttl: 5m}
---
entity: Doc
fields: {id: {type: integer, primary: true}, team: {type: integer, nullable: true}, code: {type: integer, nullable: true}}
cache: {ttl: 1m}
---
entity: Remark
fields: {id: {type: integer, primary: true}, doc: {type: integer}}
cache: {ttl: 30s}
---
entity: Shown
fields: {id: {type: integer, primary: true}}
cache: {ttl: 30s}
---
entity: Log
fields: {id: {type: integer, primary: true}}
";

/// `Middle` is no entity, and cascades go through it all the same.
const TABLES: &str = "
CREATE TABLE Team (id INTEGER PRIMARY KEY, code INTEGER UNIQUE);
CREATE TABLE Doc (id INTEGER PRIMARY KEY, team INTEGER REFERENCES Team (id) ON DELETE SET NULL ON UPDATE CASCADE,
  code INTEGER REFERENCES Team (code) ON UPDATE CASCADE);
CREATE TABLE Middle (id INTEGER PRIMARY KEY, doc INTEGER REFERENCES doc (id) ON DELETE CASCADE);
CREATE TABLE Remark (id INTEGER PRIMARY KEY, doc INTEGER REFERENCES Middle (id) ON DELETE CASCADE);
CREATE VIEW Shown AS SELECT id FROM Doc;
CREATE TABLE Log (id INTEGER PRIMARY KEY);
";

fn effects(more: &str) -> (Schema, Effects) {
    let source = Source {
        name: "e.yaml".to_owned(),
        text: ENTITIES.to_owned(),
    };
    let schema = Schema::parse(&[source]).unwrap().schema;
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&format!("{TABLES}{more}")).unwrap();
    let effects = Effects::of(&schema, &catalog(&connection).unwrap());
    (schema, effects)
}

fn reach(more: &str, entity: &str, change: Change) -> Option<Vec<String>> {
    let (schema, effects) = effects(more);
    let effect = effects.effect(schema.by_name(entity).unwrap().id).unwrap();
    let reach = match change {
        Change::Made => &effect.of_create,
        Change::Updated => &effect.of_update,
        Change::Gone => &effect.of_delete,
    };
    match reach {
        Reach::Any => None,
        Reach::Some(ids) => {
            let names = ids.iter().map(|id| schema.entity(*id).unwrap().name.clone());
            Some(names.collect())
        }
    }
}

/// What of a list is reached; where there is none, everything.
fn named(names: Option<&[&str]>) -> Option<Vec<String>> {
    names.map(|names| names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_write_reaches_what_the_database_changes_along_with_it_and_no_more() {
    for (entity, change, expected) in [
        ("Team", Change::Made, named(Some(&["Team"]))),
        // Another column than the key is referred to, and may be changed.
        ("Team", Change::Updated, named(Some(&["Doc", "Remark", "Team"]))),
        ("Team", Change::Gone, named(Some(&["Doc", "Remark", "Team"]))),
        ("Doc", Change::Made, named(Some(&["Doc"]))),
        ("Doc", Change::Updated, named(Some(&["Doc"]))),
        ("Doc", Change::Gone, named(Some(&["Doc", "Remark"]))),
        ("Remark", Change::Gone, named(Some(&["Remark"]))),
        // Of these nothing is kept.
        ("Log", Change::Gone, named(Some(&[]))),
        ("Shown", Change::Made, None),
    ] {
        assert_eq!(reach("", entity, change), expected, "{entity} {change:?}");
    }
}

#[test]
fn where_a_trigger_may_do_anything_a_write_reaches_everything_also_by_a_cascade() {
    let on = |table: &str| {
        format!(
            "CREATE TRIGGER t AFTER DELETE ON {table} BEGIN UPDATE Team SET code = NULL WHERE id = 1; END;"
        )
    };
    for change in [Change::Made, Change::Updated, Change::Gone] {
        assert_eq!(reach(&on("Log"), "Log", change), None);
    }
    assert_eq!(
        reach(&on("Log"), "Doc", Change::Gone),
        named(Some(&["Doc", "Remark"]))
    );
    // SQLite does not mind how a name is spelt.
    assert_eq!(reach(&on("middle"), "Doc", Change::Gone), None);
    assert_eq!(reach(&on("middle"), "Team", Change::Gone), None);
    assert_eq!(reach(&on("middle"), "Team", Change::Made), named(Some(&["Team"])));
}

#[test]
fn nothing_is_kept_of_what_may_change_without_being_written() {
    let (schema, effects) = effects("");
    let ttl = |name: &str| effects.effect(schema.by_name(name).unwrap().id).unwrap().ttl;
    assert_eq!(ttl("Doc"), Some(Duration::from_mins(1)));
    assert_eq!(ttl("Shown"), None, "a view");
    assert_eq!(ttl("Log"), None, "its file does not say so");
    assert!(effects.keeps_any());
}
