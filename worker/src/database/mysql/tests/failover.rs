//! Several servers of which one takes writes at a time, and a server that is away for a moment.

use std::thread;
use std::time::{Duration, Instant};

use dbal_config::{Mysql, SslMode, Target};
use dbal_servers::mariadb::{MariaDb, PASSWORD};
use dbal_servers::proxy::Gate;
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;

use super::faults::{LONG, Station};
use super::{config, host};
use crate::database::mysql::open;
use crate::fixture::{ALICE, Fixture};

const NAME: &str = "failover";

/// Each has the same database and user, and its own authority.
fn prepared(servers: &[&MariaDb]) -> Mysql {
    let mut all = config(servers[0], NAME);
    all.ssl_mode = SslMode::Disable;
    all.host = servers
        .iter()
        .map(|server| host("127.0.0.1", Some(server.port())))
        .collect();
    for server in servers {
        server.sql(
            "",
            &format!(
                "CREATE DATABASE {NAME} CHARACTER SET utf8mb4; CREATE USER {NAME}@'%' IDENTIFIED BY '{PASSWORD}'; \
                 GRANT ALL ON {NAME}.* TO {NAME}@'%'"
            ),
        );
        let mut alone = config(server, NAME);
        alone.ssl_mode = SslMode::Disable;
        open(&alone, Fixture::new().policy.schema()).unwrap();
        server.sql(
            NAME,
            &format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice')"),
        );
    }
    all
}

fn slugs(server: &MariaDb) -> String {
    server
        .sql(NAME, "SELECT GROUP_CONCAT(slug ORDER BY slug) FROM Note")
        .trim()
        .to_owned()
}

fn demote(server: &MariaDb, is_read_only: bool) {
    server.sql("", &format!("SET GLOBAL read_only = {is_read_only}"));
}

const REFUSED: Option<(Code, Advice)> = Some((Code::Unavailable, Advice::Retry));

fn failed(answer: Result<String, dbal_shared::message::Failure>) -> Option<(Code, Advice)> {
    answer.err().map(|failure| (failure.code, failure.advice))
}

#[test]
fn the_server_that_takes_writes_is_found_among_several_and_again_when_it_is_another() {
    let (one, other) = (MariaDb::start(), MariaDb::start());
    let all = prepared(&[&one, &other]);
    demote(&one, true);
    let mut station = Station::new(&all);
    station.ask(station.create("a"), LONG).unwrap();
    assert_eq!((slugs(&one), slugs(&other)), ("NULL".to_owned(), "a".to_owned()));

    // The other way round: whoever meets the one that was demoted goes to the other, and nobody hears of it.
    demote(&other, true);
    demote(&one, false);
    for slug in ["b", "c", "d", "e", "f"] {
        station.ask(station.create(slug), LONG).unwrap();
    }
    assert_eq!(
        (slugs(&one), slugs(&other)),
        ("b,c,d,e,f".to_owned(), "a".to_owned())
    );

    // Neither: the code that says that it may be tried again, and then it can.
    demote(&one, true);
    assert_eq!(failed(station.ask(station.create("g"), LONG)), REFUSED);
    demote(&one, false);
    let began = Instant::now();
    while let Some(refused) = failed(station.ask(station.create("h"), LONG)) {
        assert_eq!(Some(refused), REFUSED);
        assert!(began.elapsed() < LONG);
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(slugs(&one), "b,c,d,e,f,h");

    // It dies, and the other takes over.
    one.kill();
    demote(&other, false);
    // What was silent for a moment is asked first whether it is still there.
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    while let Some(refused) = failed(station.ask(station.create("i"), LONG)) {
        assert_eq!(Some(refused), REFUSED);
        assert!(began.elapsed() < LONG);
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(slugs(&other), "a,i");
}

#[test]
fn a_replica_serves_reads_where_the_configuration_takes_any_and_nothing_where_it_does_not() {
    let server = MariaDb::start();
    let mut config = prepared(&[&server]);
    demote(&server, true);
    let Err(error) = open(&config, Fixture::new().policy.schema()) else {
        panic!("it takes no writes");
    };
    let error = dbal_daemon::causes(&error);
    assert!(
        error.contains("takes no writes") && error.contains(&server.port().to_string()),
        "{error}"
    );
    config.target = Target::Any;
    let mut station = Station::new(&config);
    let connections =
        "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Connections'";
    for _ in 0..2 {
        assert_eq!(station.ask(station.count(), LONG).unwrap(), "0");
        assert_eq!(failed(station.ask(station.create("a"), LONG)), REFUSED);
    }
    for _ in 0..20 {
        station.ask(station.count(), LONG).unwrap();
    }
    let before: u64 = server.sql("", connections).trim().parse().unwrap();
    for _ in 0..20 {
        assert_eq!(failed(station.ask(station.create("a"), LONG)), REFUSED);
    }
    let after: u64 = server.sql("", connections).trim().parse().unwrap();
    assert!(
        after - before < 5,
        "a refused write costs no connection: {before} {after}"
    );
    assert_eq!(station.ask(station.count(), LONG).unwrap(), "0");
}

#[test]
fn a_server_that_is_away_for_a_moment_is_waited_for_and_one_that_stays_away_is_told_at_once() {
    let server = MariaDb::shared();
    let mut config = config(server, &server.database());
    config.ssl_mode = SslMode::Disable;
    config.pool_size = 1;
    let gate = Gate::before(server.port());
    config.host = vec![host("127.0.0.1", Some(gate.port()))];
    let mut station = Station::after(&config, || gate.shut(true));
    let opened = gate.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        opened.shut(false);
    });
    let began = Instant::now();
    assert_eq!(station.ask(station.count(), LONG).unwrap(), "0");
    assert!(
        began.elapsed() >= Duration::from_millis(190),
        "{:?}",
        began.elapsed()
    );

    gate.shut(false);
    let mut station = Station::after(&config, || gate.shut(true));
    let began = Instant::now();
    assert_eq!(failed(station.ask(station.count(), LONG)), REFUSED);
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(400) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
    // No deadline is ever overdrawn by it, and nobody waits in vain a second time.
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(failed(station.ask(station.count(), LONG)), REFUSED);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    gate.shut(false);
    let began = Instant::now();
    while let Some(refused) = failed(station.ask(station.count(), LONG)) {
        assert_eq!(Some(refused), REFUSED);
        assert!(began.elapsed() < LONG);
        thread::sleep(Duration::from_millis(20));
    }
}
