//! Who is next, where one caller's statements take long and another's do not.

use dbal_servers::mariadb::MariaDb;

use super::config;
use super::faults::{Holder, Unlocking};
use crate::database::Connections;
use crate::database::cases::shares;
use crate::database::mysql::open;
use crate::database::running::Running;
use crate::fixture::{ALICE, Fixture};

/// A database of five connections, and its name.
fn of_five(server: &MariaDb, fixture: &Fixture) -> (Running, String) {
    let mut config = config(server, &server.database());
    config.pool_size = 5;
    let connections = open(&config, fixture.policy.schema()).unwrap();
    let alice = format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice')");
    server.sql(&config.database, &alice);
    (Running::on(Connections::Mysql(connections)), config.database)
}

fn locked<'a>(server: &'a MariaDb, database: &str) -> Unlocking<'a> {
    Unlocking(Some(Holder::of(server, database, "LOCK TABLES Sample WRITE")))
}

#[test]
fn in_mariadb_nobody_has_all_connections_who_takes_long_and_reads_of_single_rows_pass() {
    let (server, fixture) = (MariaDb::shared(), Fixture::new());
    let (running, database) = of_five(server, &fixture);
    let lock = || locked(server, &database);
    shares::reads_of_single_rows_pass_those_that_wait_for_a_connection(&running, &fixture, lock);
    shares::who_takes_long_leaves_a_connection_to_the_others(&running, &fixture, lock);
}

#[test]
fn in_mariadb_whose_reads_of_single_rows_are_held_up_holds_up_nobody_elses() {
    let (server, fixture) = (MariaDb::shared(), Fixture::new());
    let (running, database) = of_five(server, &fixture);
    let lock = || locked(server, &database);
    shares::whose_reads_of_single_rows_are_held_up_holds_up_nobody_elses(&running, &fixture, lock);
}
