//! Rows whose time is over, on PostgreSQL; another worker that keeps answers hears of it.

use super::*;
use crate::cache::{Bounds, Others};
use crate::database::expired;

#[test]
fn rows_of_postgresql_go_when_their_time_is_over_and_others_stay() {
    let fixture = expired::fixture();
    let private = Private::on(Postgres::shared(), &fixture, |_| {});
    expired::rows_go_when_their_time_is_over_and_others_stay(&private.running, &fixture);
    expired::a_number_that_is_no_time_in_milliseconds_expires_nothing(&private.running, &fixture);
}

#[test]
fn another_worker_hears_of_rows_that_expire() {
    let fixture = expired::fixture();
    let private = Private::on(Postgres::shared(), &fixture, |_| {});
    let connections = open(&config(private.server, &private.name), fixture.policy.schema()).unwrap();
    let bounds = Bounds {
        bytes: 1024 * 1024,
        longest: Duration::from_mins(5),
        others: Others::AreHeard,
    };
    let reader = Running::caching(Connections::Postgres(connections), bounds);
    expired::kept_answers_are_let_go_of(&private.running, &reader, &fixture);
}

#[test]
fn rows_expire_again_when_a_postgresql_that_was_away_is_back() {
    let (fixture, server) = (expired::fixture(), Postgres::start());
    let private = Private::on(&server, &fixture, |_| {});
    expired::a_database_that_is_away_is_waited_for(
        &private.running,
        &fixture,
        || server.kill(),
        || server.launch(),
    );
}

#[test]
fn workers_on_one_postgresql_remove_each_row_once() {
    let fixture = expired::fixture();
    let private = Private::on(Postgres::shared(), &fixture, |_| {});
    let connections = open(&config(private.server, &private.name), fixture.policy.schema()).unwrap();
    let other = Running::on(Connections::Postgres(connections));
    expired::workers_share_the_rows([&private.running, &other], &fixture);
}

#[test]
fn a_time_of_minus_infinity_keeps_no_other_row() {
    let fixture = expired::fixture();
    let private = Private::on(Postgres::shared(), &fixture, |_| {});
    expired::a_row_whose_time_can_not_be_read_keeps_no_other(&private.running, &fixture, &|id| {
        let row = format!("INSERT INTO \"Lease\" VALUES ('{id}', '-infinity')");
        private.server.sql(&private.name, &row);
    });
}
