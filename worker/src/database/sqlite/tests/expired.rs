//! Rows whose time is over, on SQLite.

use rusqlite::Connection;

use crate::database::cached::ALONE;
use crate::database::running::Running;
use crate::database::{Connections, expired};
use crate::expiry::Step;
use crate::fixture::Fixture;

fn running(fixture: &Fixture) -> Running {
    Running::on(Connections::Sqlite(fixture.open()))
}

#[test]
fn rows_of_sqlite_go_when_their_time_is_over_and_others_stay() {
    let fixture = expired::fixture();
    expired::rows_go_when_their_time_is_over_and_others_stay(&running(&fixture), &fixture);
}

#[test]
fn a_number_that_is_no_time_in_milliseconds_expires_nothing_on_sqlite() {
    let fixture = expired::fixture();
    expired::a_number_that_is_no_time_in_milliseconds_expires_nothing(&running(&fixture), &fixture);
}

#[test]
fn answers_that_show_a_row_are_kept_no_longer_than_it() {
    let fixture = expired::fixture();
    let running = Running::caching(Connections::Sqlite(fixture.open()), ALONE);
    expired::kept_answers_are_let_go_of(&running, &running, &fixture);
}

#[test]
fn rows_that_are_held_keep_no_others_and_are_told_once() {
    let fixture = expired::fixture();
    expired::rows_that_are_held_keep_no_others(&running(&fixture), &fixture);
}

#[test]
fn an_entity_whose_table_is_away_is_told_once_and_tried_again() {
    let fixture = expired::fixture();
    let running = running(&fixture);
    let behind = Connection::open(fixture.folder.path().join("test.sqlite")).unwrap();
    let rename = |script: &str| behind.execute_batch(script).unwrap();
    expired::an_entity_that_can_not_be_swept_is_told_once(
        &running,
        &fixture,
        || rename("ALTER TABLE Pass RENAME TO Away"),
        || rename("ALTER TABLE Away RENAME TO Pass"),
    );
}

#[test]
fn workers_on_one_file_remove_each_row_once() {
    let fixture = expired::fixture();
    expired::workers_share_the_rows([&running(&fixture), &running(&fixture)], &fixture);
}

/// SQLite compares texts: a blank sorts before a `T`, so `23:00` of today, as `CURRENT_TIMESTAMP` writes it, would be over since midnight.
#[test]
fn a_time_that_sqlite_sorts_elsewhere_removes_no_row_before_it_is_over() {
    for (time, step) in [
        ("2023-11-14 23:00:00", Step::More),
        ("2023-11-14", Step::More),
        ("2023-11-14T22:00:00-05:00", Step::Done),
    ] {
        let fixture = expired::fixture();
        let running = running(&fixture);
        let behind = Connection::open(fixture.folder.path().join("test.sqlite")).unwrap();
        let row = "INSERT INTO Lease VALUES ('00000000-0000-0000-0000-000000000001', ?)";
        behind.execute(row, [time]).unwrap();
        assert_eq!(expired::step(&running, &fixture, "Lease"), step, "{time}");
        let count = || -> i64 {
            let count = "SELECT COUNT(*) FROM Lease";
            behind.query_row(count, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(), 1, "{time}");
        let over = "UPDATE Lease SET until = '2023-11-14T22:13:20.000Z'";
        behind.execute(over, []).unwrap();
        assert_eq!(expired::step(&running, &fixture, "Lease"), Step::Done);
        assert_eq!(count(), 0, "{time}");
    }
}

/// As `CURRENT_TIMESTAMP` would have written it.
#[test]
fn a_time_that_can_not_be_read_keeps_no_other_row() {
    let fixture = expired::fixture();
    let running = running(&fixture);
    let behind = Connection::open(fixture.folder.path().join("test.sqlite")).unwrap();
    expired::a_row_whose_time_can_not_be_read_keeps_no_other(&running, &fixture, &|id| {
        let row = "INSERT INTO Lease VALUES (?, '2000-01-01 00:00:00')";
        behind.execute(row, [id]).unwrap();
    });
}

#[test]
fn when_too_many_times_can_not_be_read_the_entity_is_told_of_and_left_alone() {
    let fixture = expired::fixture();
    let running = running(&fixture);
    let behind = Connection::open(fixture.folder.path().join("test.sqlite")).unwrap();
    let row = "INSERT INTO Lease VALUES (?, '2000-01-01 00:00:00')";
    for nth in 0..100_u128 {
        let id = uuid::Uuid::from_u128(nth).to_string();
        behind.execute(row, [id]).unwrap();
    }
    expired::so_many_times_can_not_be_read_that_it_fails(&running, &fixture);
}
