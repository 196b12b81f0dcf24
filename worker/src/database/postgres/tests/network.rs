//! What the network does to calls: it stalls, or it cuts an answer short; and a standby that is not there.

use std::time::{Duration, Instant};

use dbal_config::{Postgresql, SslMode};
use dbal_servers::postgres::Postgres;
use dbal_servers::proxy::{Cable, Cut, Stall};
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;

use super::super::open::open;
use super::{ADMIN, Call, LONG, Private, soon, told};
use crate::fixture::{ALICE, BOB, Fixture, json, text, uuid};

/// The way to a server's database by a proxy that understands what it passes on. The tables are made by another.
fn by(port: u16, fixture: &Fixture) -> impl FnOnce(&mut Postgresql) {
    move |config| {
        open(config, fixture.policy.schema()).unwrap();
        config.create_tables = false;
        config.port = port;
        config.ssl_mode = SslMode::Disable;
    }
}

#[test]
fn a_stalled_postgresql_holds_nobody_up_beyond_the_deadline_and_recovers() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let stall = Stall::before(server.port(), b"no word of it");
    let bench = Private::on(server, &fixture, by(stall.port(), &fixture));
    assert_eq!(bench.call(Private::count(&fixture)).unwrap().json, "0");
    assert!(bench.call(Private::read(&fixture, ALICE)).is_ok());
    stall.hold(true);
    let budget = Duration::from_secs(2);
    for _ in 0..2 {
        let many = Action::CreateMany {
            rows: vec![fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text("many"))])],
        };
        let began = Instant::now();
        let calls: Vec<(bool, Call)> = [
            (false, Private::read(&fixture, ALICE)),
            (false, Private::count(&fixture)),
            (true, Private::create(&fixture, "one")),
            (false, fixture.plan(ADMIN, "Note", many)),
        ]
        .into_iter()
        .map(|(commits_itself, plan)| (commits_itself, bench.submit(plan, budget)))
        .collect();
        for (commits_itself, call) in calls {
            let (code, advice) = told(&call.answer()).unwrap();
            assert!(matches!(code, Code::Timeout | Code::Unavailable), "{code:?}");
            // A statement that commits itself was sent.
            assert!(
                advice == Advice::Retry || (commits_itself && advice == Advice::OutcomeUnknown),
                "{advice:?}"
            );
        }
        // A commit that may be under way is waited for half a second longer.
        let took = began.elapsed();
        println!("answered after {took:?}");
        assert!(took < Duration::from_millis(2_800), "{took:?}");
    }
    stall.hold(false);
    let mut nth = 0;
    let took = soon("it serves again", LONG, || {
        nth += 1;
        bench.call(Private::create(&fixture, &format!("n{nth}"))).is_ok()
            && bench.call(Private::read(&fixture, ALICE)).is_ok()
    });
    println!("served {took:?} after the stall");
    assert_eq!(
        bench.sql("SELECT count(*) FROM \"Note\" WHERE slug = 'many'"),
        "0"
    );
}

#[test]
fn a_rollback_that_is_not_answered_costs_its_connection_and_little_time() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let stall = Stall::before(server.port(), b"ROLLBACK\0");
    let bench = Private::on(server, &fixture, by(stall.port(), &fixture));
    // One that fails in a transaction, and by its own fault.
    let rows = vec![fixture.values("Note", &[("ownerId", uuid(ADMIN.0)), ("slug", text("a"))]); 2];
    let many = fixture.plan(ADMIN, "Note", Action::CreateMany { rows });
    let began = Instant::now();
    // The first try, by several rows at once, is the one whose end is not answered; the next one tells what is wrong.
    let outcome = bench.submit(many, LONG).answer();
    let took = began.elapsed();
    println!("told after {took:?}");
    assert_eq!(told(&outcome), Some((Code::Conflict, Advice::Final)));
    assert!(took > Duration::from_secs(1), "nothing stalled: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
    assert!(bench.call(Private::count(&fixture)).is_ok());
}

#[test]
fn an_answer_that_is_cut_in_the_middle_is_asked_for_again_and_nobody_hears_of_it() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let cable = Cable::new(server.port(), b"n17", Cut::InAnswer);
    let bench = Private::on(server, &fixture, by(cable.port(), &fixture));
    bench.sql(&format!(
        "INSERT INTO \"Note\" (id, \"ownerId\", slug, state, \"createdAt\", \"updatedAt\") \
         SELECT gen_random_uuid(), '{ALICE}', 'n' || nth, 'draft', now(), now() FROM generate_series(10, 49) AS nth"
    ));
    let list = || fixture.plan(ADMIN, "Note", fixture.list("Note", Predicate::True, &["slug"]));
    let whole = json(&bench.call(list()).unwrap())["data"].clone();
    assert_eq!(whole.as_array().unwrap().len(), 40);
    cable.arm();
    let list = json(&bench.call(list()).unwrap());
    assert!(cable.is_cut(), "the list was cut");
    assert_eq!(list["data"], whole);
    // Reads that go together, in both kinds of groups.
    bench.sql(&format!(
        "UPDATE \"User\" SET username = 'n17' WHERE id = '{BOB}'"
    ));
    cable.arm();
    let calls: Vec<(&str, Call)> = (0..100)
        .map(|nth| [(ALICE, "alice"), (BOB, "n17")][nth % 2])
        .map(|(id, name)| (name, bench.submit(Private::read(&fixture, id), LONG)))
        .collect();
    for (name, call) in calls {
        assert_eq!(json(&call.answer().unwrap())["username"], name);
    }
    assert!(cable.is_cut(), "the reads were cut");
}

/// "canceling wait for synchronous replication due to user request" is a warning beside an answer that all went well.
#[test]
fn a_change_whose_deadline_ends_the_wait_for_a_standby_is_of_unknown_outcome() {
    let fixture = Fixture::new();
    let server = Postgres::start();
    let bench = Private::on(&server, &fixture, |_| {});
    assert!(bench.call(Private::create(&fixture, "before")).is_ok());
    server.set("synchronous_standby_names = 'nobody'\n");
    soon("it is set", Duration::from_secs(20), || {
        bench.sql("SHOW synchronous_standby_names") == "nobody"
    });
    // Sessions take a moment to read it.
    std::thread::sleep(Duration::from_millis(300));
    let budget = Duration::from_millis(700);
    let outcome = bench.submit(Private::create(&fixture, "alone"), budget).answer();
    assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::OutcomeUnknown)));
    // It stands on this server.
    assert_eq!(bench.sql("SELECT slug FROM \"Note\" ORDER BY 1"), "alone\nbefore");
    let rows = vec![fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text("many"))])];
    let many = fixture.plan(ADMIN, "Note", Action::CreateMany { rows });
    let outcome = bench.submit(many, budget).answer();
    assert_eq!(told(&outcome), Some((Code::Timeout, Advice::OutcomeUnknown)));
    // Somebody at the server has it wait no longer: that is no answer that it is safe either.
    let let_go = || {
        bench.sql("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
    };
    soon("the one before waits no longer", LONG, || let_go() == "0");
    let rows = vec![fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text("more"))])];
    let more = fixture.plan(ADMIN, "Note", Action::CreateMany { rows });
    let call = bench.submit(more, LONG);
    soon("it waits", LONG, || let_go() != "0");
    assert_eq!(
        told(&call.answer()),
        Some((Code::Unavailable, Advice::OutcomeUnknown))
    );
    server.set("synchronous_standby_names = ''\n");
    assert!(bench.call(Private::create(&fixture, "after")).is_ok());
}
