//! Rows whose time is over, on MariaDB.

use dbal_servers::mariadb::MariaDb;

use super::{config, open};
use crate::database::running::Running;
use crate::database::{Connections, expired};

#[test]
fn rows_of_mariadb_go_when_their_time_is_over_and_others_stay() {
    let (fixture, server) = (expired::fixture(), MariaDb::shared());
    let database = config(server, &server.database());
    let connections = open(&database, fixture.policy.schema()).unwrap();
    let running = Running::on(Connections::Mysql(connections));
    expired::rows_go_when_their_time_is_over_and_others_stay(&running, &fixture);
    expired::a_number_that_is_no_time_in_milliseconds_expires_nothing(&running, &fixture);
}
