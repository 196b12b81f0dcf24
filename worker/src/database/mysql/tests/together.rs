//! Reads that go together or one by one get the same.

use dbal_servers::mariadb::MariaDb;

use super::Private;
use super::faults::{Holder, Unlocking};
use crate::database::cases::Bench;
use crate::database::gathered;
use crate::fixture::Fixture;

/// Statements of the adapter's that read, as the server counts them.
fn selects(server: &MariaDb, user: &str) -> usize {
    let asked = format!(
        "SELECT COALESCE(SUM(SELECT_COMMANDS), 0) FROM information_schema.USER_STATISTICS WHERE USER = '{user}'"
    );
    server.sql(user, &asked).trim().parse().unwrap()
}

#[test]
fn reads_that_go_together_or_one_by_one_get_the_same_beside_writers() {
    let fixture = Fixture::new();
    let server = MariaDb::shared();
    let name = server.database();
    server.sql(&name, "SET GLOBAL userstat = 1");
    let bench = Private::of(server, name.clone(), &fixture, str::to_owned);
    gathered::fill(&bench);
    let mut before = 0;
    gathered::get_the_same_as_alone(&fixture, &bench.running, &mut |reads| {
        let count = selects(server, &name);
        let asked = count - std::mem::replace(&mut before, count);
        asked < reads
    });
}

#[test]
fn who_waits_to_go_together_leaves_when_his_time_is_over() {
    let (server, fixture) = (MariaDb::shared(), Fixture::new());
    let name = server.database();
    let bench = Private::of(server, name.clone(), &fixture, str::to_owned);
    gathered::fill(&bench);
    gathered::leave_when_their_time_is_over(&fixture, &bench.running, || {
        Unlocking(Some(Holder::of(server, &name, "LOCK TABLES Note WRITE")))
    });
}

#[test]
fn callers_with_other_claims_never_get_what_is_found_for_another() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    gathered::fill(&bench);
    gathered::get_their_own(&fixture, &bench.running);
}
