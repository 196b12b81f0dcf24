//! Rows whose time is over, on MariaDB and on MySQL.

use dbal_servers::mariadb::MariaDb;
use dbal_servers::mysql::MySql;

use super::{config, open};
use crate::database::running::Running;
use crate::database::{Connections, expired};

fn rows_go_and_others_stay(server: &MariaDb) {
    let fixture = expired::fixture();
    let database = config(server, &server.database());
    let connections = open(&database, fixture.policy.schema()).unwrap();
    let running = Running::on(Connections::Mysql(connections));
    expired::rows_go_when_their_time_is_over_and_others_stay(&running, &fixture);
    expired::a_number_that_is_no_time_in_milliseconds_expires_nothing(&running, &fixture);
}

#[test]
fn rows_of_mariadb_go_when_their_time_is_over_and_others_stay() {
    rows_go_and_others_stay(MariaDb::shared());
}

#[test]
fn rows_of_mysql_go_when_their_time_is_over_and_others_stay() {
    rows_go_and_others_stay(MySql::shared());
}

#[test]
fn workers_on_one_mariadb_remove_each_row_once() {
    let (fixture, server) = (expired::fixture(), MariaDb::shared());
    let database = config(server, &server.database());
    let running = || {
        let connections = open(&database, fixture.policy.schema()).unwrap();
        Running::on(Connections::Mysql(connections))
    };
    expired::workers_share_the_rows([&running(), &running()], &fixture);
}
