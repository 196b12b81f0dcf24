//! What MariaDB and MySQL are told instead of `RETURNING`, and where MariaDB has it.

use dbal_shared::plan::{Action, Target};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::value::Value;

use super::{Fixture, sql, text};
use crate::{MARIADB, MARIADB_FOREIGN, MYSQL, Steps, answering_new_rows, making_alone};

#[test]
fn mariadb_judges_a_row_before_it_is_written_since_no_write_answers_it() {
    let fixture = Fixture::new();
    let own = |dialect, action| {
        let plan = fixture.plan(&["writer"], action);
        let lines = sql(&plan, dialect);
        let short = |sql: &String| sql.replace("`the \"books\"`", "T");
        lines.iter().map(short).collect::<Vec<_>>()
    };
    let update = || Action::Update {
        target: fixture.target(),
        values: fixture.values(&[("price", Value::Decimal("1.5".to_owned()))]),
        projection: vec![fixture.column("title")],
    };
    assert_eq!(
        own(&MARIADB, update()),
        [
            "UPDATE T SET `price` = CAST(? AS DECIMAL(65,30)), `changed` = ? WHERE (T.`isbn` = ?) AND ((((T.`author` = ?) AND (T.`author` = ?))) AND (T.`author` = ?))",
            "SELECT (((((T.`author` = ?) AND (T.`author` = ?))) AND (T.`author` = ?))) IS TRUE, T.`id` FROM T WHERE (T.`isbn` = ?) AND ((((T.`author` = ?) AND (T.`author` = ?)))) LIMIT ? FOR UPDATE",
        ]
    );
    let count = Action::Count {
        filter: Predicate::Compare {
            column: fixture.column("title"),
            op: Comparison::Eq,
            value: text("MARKER"),
        },
    };
    assert_eq!(
        own(&MARIADB_FOREIGN, count),
        [
            "SELECT COUNT(*) FROM T WHERE (T.`title` = ? AND CONVERT(T.`title` USING utf8mb4) COLLATE utf8mb4_nopad_bin = ?) AND (T.`author` = ?)"
        ]
    );
    let delete = Action::Delete {
        target: fixture.target(),
    };
    assert_eq!(
        own(&MYSQL, delete),
        ["DELETE FROM T WHERE (T.`isbn` = ?) AND ((((T.`author` = ?) AND (T.`author` = ?))) AND (TRUE))"]
    );
}

#[test]
fn newer_servers_of_mariadb_answer_the_rows_that_a_statement_makes_but_not_those_of_a_view() {
    let fixture = Fixture::new();
    let plan = fixture.plan(
        &["writer"],
        Action::Create {
            values: fixture.values(&[
                ("id", Value::Int(1)),
                ("authorId", Value::Int(1)),
                ("title", text("MARKER")),
            ]),
            projection: vec![fixture.column("title")],
        },
    );
    let kept = |dialect| &*Box::leak(Box::new(dialect));
    let answering = kept(answering_new_rows(&MARIADB, &[]));
    let made = |dialect| {
        let Steps::Create(write) = Steps::of_plan(&plan, dialect).unwrap() else {
            panic!("no create");
        };
        (write.statement.sql().to_owned(), write.reread.is_none())
    };
    let (bare, is_answered) = made(&MARIADB);
    assert!(!is_answered && !bare.contains("RETURNING"), "{bare}");
    let entity = plan.entity().unwrap().id;
    let of_view = kept(answering_new_rows(&MARIADB, Box::leak(Box::new([entity]))));
    assert_eq!(made(of_view), (bare.clone(), false));
    let (both, is_answered) = made(answering);
    let shown = both.strip_prefix(&bare).unwrap();
    assert!(is_answered && shown.starts_with(" RETURNING ("), "{both}");
    // Alone it fails by itself where the row may not be so.
    let (alone, is_answered) = made(kept(making_alone(answering)));
    let failing = alone.strip_prefix(&bare).unwrap();
    assert!(
        is_answered && failing.starts_with(" RETURNING 9223372036854775807 + (("),
        "{alone}"
    );
    assert!(failing.contains(") IS NOT TRUE) > 0, ("), "{alone}");
}

#[test]
fn the_key_of_a_row_that_is_changed_is_known_where_it_is_what_the_row_is_found_by() {
    let fixture = Fixture::new();
    for (name, is_known) in [("id", true), ("isbn", false)] {
        let target = Target {
            column: fixture.column(name),
            value: match name {
                "id" => Value::Int(1),
                _ => text("1"),
            },
        };
        let update = Action::Update {
            target,
            values: fixture.values(&[("title", text("MARKER"))]),
            projection: vec![fixture.column("title")],
        };
        let plan = fixture.plan(&["writer"], update);
        let Steps::Update(update) = Steps::of_plan(&plan, &MYSQL).unwrap() else {
            panic!("no update");
        };
        assert_eq!(update.write.key.is_some(), is_known, "{name}");
    }
}
