//! Calls that run beside one another.

use dbal_servers::mariadb::MariaDb;

use super::config;
use crate::database::Connections;
use crate::database::beside::{
    Beside, a_named_write_that_comes_again_while_it_is_under_way_gets_the_first_ones_answer,
    serializable_transactions_end_as_if_one_had_run_after_the_other,
    transactions_that_ask_for_less_may_both_see_what_was_before,
};
use crate::database::mysql::open;
use crate::database::running::Running;
use crate::fixture::{ALICE, Fixture};

/// A database with Alice in it, in which an event on notes takes some seconds.
fn slow(fixture: &Fixture, event: &str, seconds: &str) -> Running {
    let server = MariaDb::shared();
    let name = server.database();
    let connections = open(&config(server, &name), fixture.policy.schema()).unwrap();
    server.sql(
        &name,
        &format!(
            "INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice'); \
             CREATE TRIGGER pause {event} ON Note FOR EACH ROW DO SLEEP({seconds})"
        ),
    );
    Running::on(Connections::Mysql(connections))
}

#[test]
fn in_mariadb_a_named_write_that_comes_again_while_it_is_under_way_gets_the_first_ones_answer() {
    let fixture = Fixture::new();
    let running = slow(&fixture, "AFTER INSERT", "0.5");
    a_named_write_that_comes_again_while_it_is_under_way_gets_the_first_ones_answer(&Beside {
        fixture: &fixture,
        running: &running,
    });
}

#[test]
fn in_mariadb_isolation_levels_mean_what_they_say() {
    let fixture = Fixture::new();
    let running = slow(&fixture, "BEFORE UPDATE", "0.1");
    let beside = Beside {
        fixture: &fixture,
        running: &running,
    };
    serializable_transactions_end_as_if_one_had_run_after_the_other(&beside);
    transactions_that_ask_for_less_may_both_see_what_was_before(&beside);
}
