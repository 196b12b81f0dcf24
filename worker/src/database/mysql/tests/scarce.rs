//! A server that has too little of something.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::{Duration, Instant};

use dbal_config::SslMode;
use dbal_servers::mariadb::MariaDb;
use dbal_servers::proxy::Gate;
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;

use super::faults::{LONG, Station, prepared_in};
use super::{config, host};
use crate::database::mysql::open;
use crate::fixture::{ALICE, Fixture};

fn soon(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// Sessions of others, who take what connections there are.
struct Crowd<'a> {
    server: &'a MariaDb,
    sessions: Vec<Child>,
}

const SLEEPING: &str = "FROM information_schema.PROCESSLIST WHERE INFO = 'SELECT SLEEP(120)'";

impl<'a> Crowd<'a> {
    fn of(server: &'a MariaDb, count: usize) -> Self {
        let sessions = (0..count)
            .map(|_| server.background("", "SELECT SLEEP(120)"))
            .collect();
        soon("the crowd is in", || {
            server.sql("", &format!("SELECT COUNT(*) {SLEEPING}")).trim() == count.to_string()
        });
        Self { server, sessions }
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        kill(self.server, SLEEPING);
        for session in &mut self.sessions {
            let _ = session.wait();
        }
    }
}

fn kill(server: &MariaDb, which: &str) {
    let kills = server.sql("", &format!("SELECT CONCAT('KILL ', ID, ';') {which}"));
    server.sql("", &kills);
}

#[test]
fn a_mariadb_that_has_no_connection_left_is_told_as_such_and_serves_again_by_itself() {
    let server = MariaDb::start();
    let gate = Gate::before(server.port());
    let mut config = config(&server, &server.database());
    config.ssl_mode = SslMode::Disable;
    config.host = vec![host("127.0.0.1", Some(gate.port()))];
    let mut station = Station::new(&config);
    let alice = format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice')");
    server.sql(&config.database, &alice);
    station.ask(station.create("before"), LONG).unwrap();
    gate.shut(true);
    let ours = format!(
        "FROM information_schema.PROCESSLIST WHERE USER = '{}'",
        config.database
    );
    kill(&server, &ours);
    // One more is for root.
    server.sql("", "SET GLOBAL max_connections = 10");
    let crowd = Crowd::of(&server, 10);
    gate.shut(false);
    let refused = Some((Code::Unavailable, Advice::Retry));
    for _ in 0..3 {
        for action in [station.count(), station.create("full")] {
            let outcome = station.ask(action, LONG);
            let told = outcome.err().map(|failure| (failure.code, failure.advice));
            assert_eq!(told, refused);
        }
    }
    let Err(error) = open(&config, Fixture::new().policy.schema()) else {
        panic!("there is no connection left");
    };
    let complaint = dbal_daemon::causes(&error);
    assert!(complaint.contains("Too many connections"), "{complaint}");
    // Nobody of ours is at the door meanwhile: who is refused there takes root's place for a moment.
    gate.shut(true);
    drop(crowd);
    gate.shut(false);
    let took = soon("it serves again", || station.ask(station.count(), LONG).is_ok());
    println!("served {took:?} after there was room");
    // Each connection finds out for itself; until then its call is told to come again, and nothing is done.
    soon("changes, too", || {
        station.ask(station.create("after"), LONG).is_ok()
    });
    let slugs = server.sql(
        &config.database,
        "SELECT GROUP_CONCAT(slug ORDER BY slug) FROM Note",
    );
    assert_eq!(slugs.trim(), "after,before");
}

#[test]
fn a_mariadb_that_lets_fewer_in_than_the_pool_has_places_serves_by_those_that_are_in() {
    let server = MariaDb::start();
    let (config, mut station) = prepared_in(&server, &server.database());
    let name = &config.database;
    // One of them is the observer's.
    for host in ["%", "localhost"] {
        server.sql(
            "",
            &format!("ALTER USER {name}@'{host}' WITH MAX_USER_CONNECTIONS 3"),
        );
    }
    let ours = format!("FROM information_schema.PROCESSLIST WHERE USER = '{name}'");
    kill(&server, &ours);
    // Until each has found out for itself.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let _ = station.ask(station.count(), LONG);
    }
    let refused = (0..300)
        .filter(|_| station.ask(station.count(), LONG).is_err())
        .count();
    assert_eq!(
        refused, 0,
        "of 300 calls were refused though others were answered"
    );
    let there = server.sql("", &format!("SELECT COUNT(*) {ours}"));
    assert_eq!(there.trim(), "3");
}

#[test]
fn a_mariadb_whose_disk_is_full_loses_nothing_and_takes_changes_again_when_there_is_room() {
    let server = MariaDb::on_a_small_disk();
    let (config, mut station) = prepared_in(&server, &server.database_on_the_small_disk());
    server.sql(
        &config.database,
        "CREATE TABLE ballast (filler VARCHAR(1000)) ENGINE=InnoDB CHARACTER SET latin1",
    );
    // Until it is full; then a little less, which is for us to fill.
    let fill = "INSERT INTO ballast SELECT REPEAT('x', 1000) FROM seq_1_to_64";
    while server.try_sql(&config.database, fill) {}
    let (mut acknowledged, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let mut sent = 0;
    let mut change = |acknowledged: &mut BTreeSet<i64>, refused: &mut BTreeSet<i64>| {
        sent += 1;
        // Where a row is in several indexes, InnoDB may have to take it out of the first again because there is no room in the second,
        // and ends the whole server where that needs room, too.
        match station.ask_for_sample(sent) {
            Ok(_) => acknowledged.insert(sent),
            Err(failure) => {
                assert_eq!((failure.code, failure.advice), (Code::Quota, Advice::Retry));
                refused.insert(sent)
            }
        }
    };
    while refused.len() < 50 {
        change(&mut acknowledged, &mut refused);
    }
    let while_full = acknowledged.len();
    assert!(while_full > 0, "it was full from the beginning");
    server.sql(&config.database, "DROP TABLE ballast");
    let before = refused.len();
    for _ in 0..50 {
        change(&mut acknowledged, &mut refused);
    }
    assert_eq!(refused.len(), before, "there is room");
    let found = server.sql(&config.database, "SELECT id FROM Sample");
    let found: BTreeSet<i64> = found.lines().map(|id| id.parse().unwrap()).collect();
    println!(
        "sent {sent}: acknowledged {}, of which {while_full} until it was full; refused {}; found {}",
        acknowledged.len(),
        refused.len(),
        found.len()
    );
    assert_eq!(found, acknowledged);
}
