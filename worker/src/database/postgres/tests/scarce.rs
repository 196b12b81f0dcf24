//! A server that has too little of something, and somebody who stands before it.

use std::collections::BTreeSet;
use std::process::Child;

use dbal_config::{Host, Postgresql};
use dbal_servers::impostor::{self, Lies};
use dbal_servers::postgres::Postgres;
use dbal_servers::proxy::Gate;
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;

use super::super::open::open;
use super::{Private, config, soon};
use crate::database::running::{LONG, told};
use crate::fixture::{ALICE, Fixture};

const REFUSED: Option<(Code, Advice)> = Some((Code::Unavailable, Advice::Retry));

/// The password's proof is bound to the certificate that the worker sees (RFC 5802 §6): who got another one from the same authority is
/// trusted by TLS, and still can't pass the proof on.
#[test]
fn a_proof_of_the_password_is_worth_nothing_through_a_trusted_certificate_that_is_not_the_servers() {
    let fixture = Fixture::new();
    let server = Postgres::start();
    let name = server.database();
    let through = |lies: Lies| {
        let mut config = config(&server, &name);
        config.port = impostor::start(server.port(), server.folder(), lies);
        open(&config, fixture.policy.schema())
            .map(|_| ())
            .map_err(|error| dbal_daemon::causes(&error))
    };
    let bound = through(Lies::None).unwrap_err();
    assert!(bound.contains("channel binding check failed"), "{bound}");
    // The client says in its proof that it could have bound, and the server knows that it offered to.
    let hidden = through(Lies::NoBinding).unwrap_err();
    assert!(hidden.contains("thinks the server does not"), "{hidden}");
    // It is the binding that fails, and nothing else: without a proof that binds, everything goes through.
    server.let_in("host all all 127.0.0.0/8 password");
    through(Lies::None).unwrap();
    open(&config(&server, &name), fixture.policy.schema()).unwrap();
}

/// Sessions of others, who take what connections there are.
struct Crowd<'a> {
    server: &'a Postgres,
    sessions: Vec<Child>,
}

impl<'a> Crowd<'a> {
    fn of(server: &'a Postgres, count: usize) -> Self {
        let sessions = (0..count)
            .map(|_| server.session("postgres", "SELECT pg_sleep(120)"))
            .collect();
        let there = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
        soon("the crowd is in", LONG, || {
            server.sql("postgres", there) == count.to_string()
        });
        Self { server, sessions }
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        self.server.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'",
        );
        for session in &mut self.sessions {
            let _ = session.wait();
        }
    }
}

#[test]
fn a_postgresql_that_has_no_connection_left_is_told_as_such_and_serves_again_by_itself() {
    let fixture = Fixture::new();
    let server = Postgres::start();
    // Three of them are for superusers.
    server.set("max_connections = 12\n");
    server.kill();
    server.launch();
    let gate = Gate::before(server.port());
    let adapt = |config: &mut Postgresql| {
        config.host = vec![Host::Tcp {
            name: "localhost".to_owned(),
            port: Some(gate.port()),
        }];
    };
    let bench = Private::on(&server, &fixture, adapt);
    bench.call(Private::create(&fixture, "before")).unwrap();
    gate.shut(true);
    let ours = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{}'",
        bench.name
    );
    let leave = || soon("ours are gone", LONG, || bench.sql(&ours) == "0");
    // Those of the crowd ask once.
    leave();
    let crowd = Crowd::of(&server, 9);
    // One of ours may have been about to log in when the gate closed.
    leave();
    gate.shut(false);
    let refusals = || {
        let log = std::fs::read_to_string(server.folder().join("log")).unwrap();
        log.matches("remaining connection slots are reserved").count()
    };
    soon("the server has refused us", LONG, || refusals() > 0);
    for _ in 0..3 {
        assert_eq!(told(&bench.call(Private::read(&fixture, ALICE))), REFUSED);
        assert_eq!(told(&bench.call(Private::create(&fixture, "full"))), REFUSED);
    }
    let started = open(
        &Postgresql {
            create_tables: false,
            ..config(&server, &bench.name)
        },
        fixture.policy.schema(),
    );
    let complaint = dbal_daemon::causes(&started.map(|_| ()).unwrap_err());
    assert!(complaint.contains("connection slots"), "{complaint}");
    drop(crowd);
    let took = soon("it serves again", LONG, || {
        bench.call(Private::read(&fixture, ALICE)).is_ok()
    });
    println!(
        "refused {} times; served {took:?} after there was room",
        refusals()
    );
    bench.call(Private::create(&fixture, "after")).unwrap();
    let slugs = bench.sql("SELECT string_agg(slug, ' ' ORDER BY slug) FROM \"Note\"");
    assert_eq!(slugs, "after before");
}

#[test]
fn a_postgresql_whose_disk_is_full_loses_nothing_and_takes_changes_again_when_there_is_room() {
    let fixture = Fixture::new();
    let server = Postgres::on_a_small_disk();
    let bench = Private::on(&server, &fixture, |config| {
        server.settle_on_the_small_disk(&config.user);
    });
    // What is left is for us to fill: less than a quarter of a megabyte.
    server.sql(
        "postgres",
        "CREATE TABLE ballast (filler text) TABLESPACE small; \
         DO $$ BEGIN WHILE pg_tablespace_size('small') < 16500000 LOOP \
         INSERT INTO ballast SELECT repeat('x', 1000) FROM generate_series(1, 64); END LOOP; END $$",
    );
    let (mut acknowledged, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let mut sent = 0_u32;
    let mut change = |acknowledged: &mut BTreeSet<String>, refused: &mut BTreeSet<String>| {
        sent += 1;
        let slug = format!("{sent:0>40}");
        match told(&bench.call(Private::create(&fixture, &slug))) {
            None => acknowledged.insert(slug),
            Some((Code::Quota, Advice::Retry)) => refused.insert(slug),
            other => panic!("{other:?}"),
        }
    };
    while refused.len() < 50 {
        change(&mut acknowledged, &mut refused);
    }
    let while_full = acknowledged.len();
    assert!(while_full > 0, "it was full from the beginning");
    assert_eq!(
        bench.call(Private::count(&fixture)).unwrap().json,
        while_full.to_string()
    );
    server.sql("postgres", "DROP TABLE ballast; CHECKPOINT");
    let before = refused.len();
    for _ in 0..50 {
        change(&mut acknowledged, &mut refused);
    }
    assert_eq!(refused.len(), before, "there is room");
    let found: BTreeSet<String> = bench
        .sql("SELECT slug FROM \"Note\"")
        .lines()
        .map(str::to_owned)
        .collect();
    println!(
        "sent {sent}: acknowledged {}, of which {while_full} until it was full; refused {}; found {}",
        acknowledged.len(),
        refused.len(),
        found.len()
    );
    assert_eq!(found, acknowledged);
}
