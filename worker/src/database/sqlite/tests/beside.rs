//! Calls that run beside one another.

use crate::database::Connections;
use crate::database::beside::{Beside, serializable_transactions_end_as_if_one_had_run_after_the_other};
use crate::database::running::Running;
use crate::fixture::Fixture;

#[test]
fn in_sqlite_serializable_transactions_end_as_if_one_had_run_after_the_other() {
    let fixture = Fixture::new();
    let running = Running::on(Connections::Sqlite(fixture.open()));
    serializable_transactions_end_as_if_one_had_run_after_the_other(&Beside {
        fixture: &fixture,
        running: &running,
    });
}
