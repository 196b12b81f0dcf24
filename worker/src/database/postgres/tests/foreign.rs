//! Linked rows, numbers and pages of tables that were there before, in types of their own.

use dbal_shared::fault::Code;
use dbal_shared::plan::Action;
use dbal_shared::predicate::{Predicate, Quantifier};
use dbal_shared::value::Value;
use serde_json::json;

use super::{ADMIN, LONG, Private, soon};
use crate::database::cases::as_read::{
    self, FINE_TIMES, fine_times, rows_are_found_by_what_is_read_of_them, times_of_one_millisecond_are_equal,
};
use crate::database::cases::pages::Pages;
use crate::database::cases::relations::{comments, include, related};
use crate::database::cases::{Bench, Ground};
use crate::fixture::{ALICE, text, uuid};

/// Notes whose times differ by less than our own do, and are the same for some.
pub(in crate::database) const FINE: &str = "
CREATE TYPE st AS ENUM ('published', 'locked', 'draft');
ALTER TABLE \"Note\"
    ALTER \"createdAt\" TYPE timestamptz, ALTER \"updatedAt\" TYPE timestamp, ALTER state TYPE st USING state::st,
    ALTER rank TYPE int2, ALTER slug TYPE varchar(10), ALTER price TYPE numeric(12, 4);
WITH numbered AS (SELECT id, row_number() OVER (ORDER BY slug) AS nth FROM \"Note\")
UPDATE \"Note\" SET state = CASE WHEN nth % 3 = 0 THEN 'draft' ELSE 'published' END::st,
    \"createdAt\" = timestamptz '2024-01-15 10:30:00Z' + (nth / 2) * interval '0.0004 s',
    \"updatedAt\" = timestamp '1969-12-31 23:59:59.9990' + ((nth * 7) % 5) * interval '0.0003 s'
FROM numbered WHERE numbered.id = \"Note\".id";

#[test]
fn pages_by_cursor_are_the_whole_list_where_times_are_finer_than_ours() {
    let pages = Pages::<Private<'static>>::filled();
    pages.ground.bench.execute(FINE);
    pages.are_the_whole_list();
}

#[test]
fn times_that_are_finer_than_ours_are_found_by_what_is_read_of_them() {
    for kind in ["timestamp", "timestamptz(6) USING time AT TIME ZONE 'UTC'"] {
        let ground = Ground::<Private<'static>>::new();
        ground.bench.execute(&format!(
            "ALTER TABLE \"Sample\" ALTER time TYPE timestamp; {FINE_TIMES}; ALTER TABLE \"Sample\" ALTER time TYPE {kind}"
        ));
        rows_are_found_by_what_is_read_of_them(&ground, "time", &fine_times());
    }
    let ground = Ground::<Private<'static>>::new();
    let made = "ALTER TABLE \"Note\" ALTER \"createdAt\" TYPE timestamptz, ALTER \"updatedAt\" TYPE timestamptz;
        UPDATE \"Note\" SET \"createdAt\" = '2024-01-15 10:30:00.1231Z', \"updatedAt\" = '2024-01-15 10:30:00.1239Z'";
    times_of_one_millisecond_are_equal(&ground, made);
}

#[test]
fn a_uuid_in_another_spelling_is_not_guessed() {
    let ground = Ground::<Private<'static>>::new();
    ground.bench.execute(
        "ALTER TABLE \"Sample\" ALTER key TYPE text; INSERT INTO \"Sample\" (id, key) VALUES (1, 'AB000000-0000-4000-8000-000000000001')",
    );
    let action = ground.fixture.list("Sample", Predicate::True, &["key"]);
    let told = ground.run(ADMIN, "Sample", action);
    assert_eq!(told, Err((Code::Internal, Vec::new())));
}

#[test]
fn what_is_no_value_of_a_field_is_not_guessed() {
    let ground = Ground::<Private<'static>>::new();
    let all = [
        ("real", "'NaN'"),
        ("real", "'Infinity'"),
        ("real", "'-Infinity'"),
        ("exact", "'NaN'"),
        ("time", "'infinity'"),
        ("time", "'-infinity'"),
        ("time", "'0044-03-15 BC'"),
        ("time", "'12024-01-01'"),
        ("day", "'infinity'"),
        ("day", "'0044-03-15 BC'"),
        ("day", "'12024-01-01'"),
    ];
    as_read::what_is_no_value_of_a_field_is_not_guessed(&ground, &all);
}

#[test]
fn what_a_trigger_refuses_is_a_fault_of_what_was_written() {
    let ground = Ground::<Private<'static>>::new();
    ground.bench.execute(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not so'; END $$;
         CREATE TRIGGER no BEFORE INSERT ON \"Sample\" FOR EACH ROW EXECUTE FUNCTION no()",
    );
    let action = Action::Create {
        values: ground.fixture.values("Sample", &[("id", Value::Int(1))]),
        projection: Vec::new(),
    };
    assert_eq!(
        ground.run(ADMIN, "Sample", action),
        Err((Code::Invalid, Vec::new()))
    );
}

/// Keys in types that differ from one table to the other.
const MIXED: &str = "
ALTER TABLE \"Comment\" DROP CONSTRAINT \"Comment_noteId_fkey\";
ALTER TABLE \"Note\" DROP CONSTRAINT \"Note_ownerId_fkey\";
ALTER TABLE \"Note\" ALTER id TYPE varchar(40), ALTER \"ownerId\" TYPE char(40), ALTER rank TYPE int8, ALTER price TYPE int4;
ALTER TABLE \"User\" ALTER id TYPE text COLLATE \"C\";
ALTER TABLE \"Comment\" ALTER \"noteId\" TYPE text COLLATE \"de-x-icu\"";

#[test]
fn linked_rows_of_tables_that_were_there_before_are_found_and_brought_along() {
    let ground = Ground::<Private<'static>>::commented();
    ground.bench.execute(MIXED);
    let fixture = &ground.fixture;
    let words = fixture.eq("Comment", "text", text("a"));
    for (quantifier, expected) in [
        (Quantifier::Some, &["n1", "n2"][..]),
        (Quantifier::None, &["n3", "n4", "n5"]),
        (Quantifier::Every, &["n1", "n3", "n4"]),
    ] {
        let filter = related(comments(fixture), quantifier, words.clone());
        assert_eq!(ground.found("Note", filter, "slug"), expected, "{quantifier:?}");
    }
    let owner = fixture.entity("Note").relation_by_name("owner").unwrap().link;
    let branches = vec![
        include(fixture, comments(fixture), "Comment", &["text"]),
        include(fixture, owner, "User", &["username"]),
    ];
    let list = ground.including(ADMIN, "Note", "slug", branches).unwrap();
    assert_eq!(
        list[4],
        json!({"slug": "n5", "comments": [{"text": "c"}], "owner": {"username": "bob"}})
    );
    assert_eq!(list[1]["comments"].as_array().unwrap().len(), 2);
}

#[test]
fn what_a_row_brings_along_is_of_the_same_moment() {
    let ground = Ground::<Private<'static>>::new();
    let note = ground.note(ALICE, &[("slug", text("old"))]);
    ground.comment(&note, "old");
    let fixture = &ground.fixture;
    let bench = &ground.bench;
    // Whoever holds the comments changes them and their note together, once both reads wait for them: of the note they know.
    let script = "BEGIN; LOCK TABLE \"Comment\"; SELECT pg_sleep(1.5); UPDATE \"Note\" SET slug = 'new'; \
        UPDATE \"Comment\" SET text = 'new'; COMMIT";
    let mut changing = bench.server.session(&bench.name, script);
    let locked = "SELECT count(*) FROM pg_locks WHERE relation = '\"Comment\"'::regclass AND granted \
        AND mode = 'AccessExclusiveLock'";
    soon("the table is locked", LONG, || bench.sql(locked) == "1");
    let brought = vec![include(fixture, comments(fixture), "Comment", &["text"])];
    let read = Action::Read {
        target: fixture.target("Note", "id", uuid(&note)),
        projection: fixture.projection("Note", &["slug"]),
        includes: brought.clone(),
    };
    let find = Action::FindFirst {
        filter: Predicate::True,
        order: Vec::new(),
        projection: fixture.projection("Note", &["slug"]),
        includes: brought,
    };
    let calls = [read, find].map(|action| bench.submit(fixture.plan(ADMIN, "Note", action), LONG));
    let waiting = "SELECT count(*) FROM pg_locks WHERE relation = '\"Comment\"'::regclass AND NOT granted";
    soon("both reads wait for the comments", LONG, || {
        bench.sql(waiting) == "2"
    });
    for call in calls {
        let told: serde_json::Value = serde_json::from_str(&call.answer().unwrap().json).unwrap();
        assert_eq!(told, json!({"slug": "old", "comments": [{"text": "old"}]}));
    }
    changing.wait().unwrap();
    assert_eq!(bench.sql("SELECT text FROM \"Comment\""), "new");
}
