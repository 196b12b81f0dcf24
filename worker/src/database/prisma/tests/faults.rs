//! A bridge that dies, a cable that is cut, a database that ends, a caller that waits no longer: nothing is told as done that was not,
//! nor as undone what may have been done.

use std::time::{Duration, Instant};

use dbal_config::{Bridge as Url, Prisma, Scheme};
use dbal_servers::bridge::Bridge;
use dbal_servers::postgres::Postgres;
use dbal_servers::proxy::{Cable, Cut};
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;

use super::{Bridged, config, count, create, make_tables, soon};
use crate::database::Connections;
use crate::database::cases::{floods, races, shares};
use crate::database::prisma::open::open;
use crate::database::running::{LONG, Running, told};
use crate::fixture::{ALICE, Fixture};

fn over_http(config: &mut Prisma) {
    if let Url::Tcp { scheme, .. } = &mut config.url {
        *scheme = Scheme::Http;
    }
}

#[test]
fn a_change_whose_answer_is_cut_off_is_of_unknown_outcome_and_is_not_tried_again() {
    let fixture = Fixture::new();
    for cut in [Cut::Before, Cut::After] {
        let mut cable = None;
        let bench = Bridged::open(&fixture, Bridge::plain, |config| {
            let Url::Tcp { scheme, port, .. } = &mut config.url else {
                panic!("a bridge on a port");
            };
            let made = Cable::new(*port, b"INSERT INTO", cut);
            (*scheme, *port) = (Scheme::Http, made.port());
            cable = Some(made);
        });
        let cable = cable.unwrap();
        assert_eq!(
            bench.call(create(&fixture, "first")).unwrap().json,
            "{\"slug\":\"first\"}"
        );
        cable.arm();
        let outcome = bench.call(create(&fixture, "cut"));
        assert_eq!(
            told(&outcome),
            Some((Code::Unavailable, Advice::OutcomeUnknown)),
            "{cut:?}"
        );
        assert!(cable.is_cut());
        let there = || bench.sql("SELECT count(*) FROM \"Note\" WHERE slug = 'cut'");
        if cut == Cut::Before {
            assert_eq!(there(), "0");
        } else {
            soon("the bridge has done it", LONG, || there() == "1");
        }
        // On another connection, at once.
        assert!(bench.call(create(&fixture, "next")).is_ok());
        assert_eq!(
            bench.sql("SELECT count(*) FROM \"Note\" WHERE slug = 'next'"),
            "1"
        );
    }
}

#[test]
fn a_read_whose_answer_is_cut_off_is_asked_again() {
    let fixture = Fixture::new();
    let mut cable = None;
    let bench = Bridged::open(&fixture, Bridge::plain, |config| {
        let Url::Tcp { scheme, port, .. } = &mut config.url else {
            panic!("a bridge on a port");
        };
        let made = Cable::new(*port, b"COUNT(*)", Cut::After);
        (*scheme, *port) = (Scheme::Http, made.port());
        cable = Some(made);
    });
    let cable = cable.unwrap();
    cable.arm();
    assert_eq!(bench.call(count(&fixture)).unwrap().json, "0");
    assert!(cable.is_cut());
}

#[test]
fn a_caller_that_waits_no_longer_is_told_whether_anything_may_have_been_done() {
    let fixture = Fixture::new();
    let bench = Bridged::open(&fixture, Bridge::tls, |_| {});
    bench.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN new; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON \"Note\" FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let budget = Duration::from_millis(700);
    let began = Instant::now();
    let outcome = bench.running.submit(create(&fixture, "slow"), budget).answer();
    let took = began.elapsed();
    assert_eq!(told(&outcome), Some((Code::Timeout, Advice::OutcomeUnknown)));
    assert!(took < budget.mul_f64(1.5), "{took:?}");
    println!("a deadline of {budget:?} was answered after {took:?}");
    // It was not stopped: that is what the outcome says.
    soon("the bridge has done it", LONG, || {
        bench.sql("SELECT count(*) FROM \"Note\"") == "1"
    });
    let lock = bench
        .server
        .session(&bench.name, "BEGIN; LOCK TABLE \"Note\"; SELECT pg_sleep(3)");
    soon("the table is locked", LONG, || {
        bench.sql("SELECT count(*) FROM pg_locks WHERE relation = '\"Note\"'::regclass AND mode = 'AccessExclusiveLock'")
            == "1"
    });
    let outcome = bench.running.submit(count(&fixture), budget).answer();
    assert_eq!(told(&outcome), Some((Code::Timeout, Advice::Retry)));
    let mut lock = lock;
    lock.wait().unwrap();
}

#[test]
fn a_bridge_that_dies_is_told_as_503_and_used_again_when_it_is_back() {
    let fixture = Fixture::new();
    let bench = Bridged::open(&fixture, Bridge::tls, |_| {});
    assert_eq!(bench.call(count(&fixture)).unwrap().json, "0");
    bench.bridge.kill();
    for plan in [count(&fixture), create(&fixture, "x")] {
        let began = Instant::now();
        let outcome = bench.call(plan);
        assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::Retry)));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    let mut samples = bench.running.database().samples();
    soon("it is said to be away", LONG, || {
        !samples.borrow_and_update().is_connected
    });
    bench.bridge.launch();
    let back = soon("it is used again", LONG, || {
        bench.call(create(&fixture, "x")).is_ok()
    });
    println!("used again {back:?} after it listened");
    assert_eq!(bench.call(count(&fixture)).unwrap().json, "1");
}

#[test]
fn a_bridge_that_is_killed_among_many_changes_leaves_none_that_was_acknowledged_undone() {
    let fixture = Fixture::new();
    let bench = Bridged::open(&fixture, Bridge::tls, |_| {});
    let (mut done, mut unknown, mut undone) = (Vec::new(), 0, Vec::new());
    let began = Instant::now();
    for round in 0..3 {
        let calls: Vec<_> = (0..60)
            .map(|nth| {
                let slug = format!("s{round}-{nth}");
                let call = bench.running.submit(create(&fixture, &slug), LONG);
                (slug, call)
            })
            .collect();
        std::thread::sleep(Duration::from_millis(250));
        bench.bridge.kill();
        for (slug, call) in calls {
            match told(&call.answer()) {
                None => done.push(slug),
                Some((_, Advice::OutcomeUnknown)) => unknown += 1,
                Some((Code::Unavailable, Advice::Retry)) => undone.push(slug),
                other => panic!("{slug}: {other:?}"),
            }
        }
        bench.bridge.launch();
        soon("it is used again", LONG, || bench.call(count(&fixture)).is_ok());
    }
    // What the killed bridge had begun has ended by now.
    std::thread::sleep(Duration::from_millis(300));
    let there = bench.sql("SELECT slug FROM \"Note\"");
    let there: std::collections::HashSet<&str> = there.lines().collect();
    for slug in &done {
        assert!(there.contains(slug.as_str()), "{slug} was acknowledged");
    }
    for slug in &undone {
        assert!(!there.contains(slug.as_str()), "{slug} was said to be undone");
    }
    println!(
        "sent {}, acknowledged {}, unknown {unknown}, undone {}; found {} in {:?}",
        done.len() + unknown + undone.len(),
        done.len(),
        undone.len(),
        there.len(),
        began.elapsed()
    );
    assert!(there.len() >= done.len() && there.len() <= done.len() + unknown);
}

#[test]
fn a_database_that_dies_behind_the_bridge_is_told_as_503_and_used_again() {
    let fixture = Fixture::new();
    let server = Postgres::start();
    let name = server.database();
    make_tables(&server, &name, fixture.policy.schema());
    server.sql(
        &name,
        &format!("INSERT INTO \"User\" (id, username) VALUES ('{ALICE}', 'alice')"),
    );
    let bridge = Bridge::plain(&server, &name);
    let connections = open(&config(Scheme::Http, bridge.port()), fixture.policy.schema()).unwrap();
    let running = Running::on(Connections::Prisma(connections));
    assert!(running.call(create(&fixture, "a")).is_ok());
    server.kill();
    let outcome = running.call(count(&fixture));
    assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::Retry)));
    // Nobody could connect, so nothing was done; a connection that broke meanwhile can't tell.
    let outcome = running.call(create(&fixture, "b"));
    let (code, advice) = told(&outcome).unwrap();
    assert_eq!(code, Code::Unavailable);
    println!("a change while the database is away: {advice:?}");
    server.launch();
    soon("it is used again", LONG, || {
        running.call(create(&fixture, "c")).is_ok()
    });
    assert_eq!(
        server.sql(&name, "SELECT count(*) FROM \"Note\" WHERE slug IN ('a', 'c')"),
        "2"
    );
}

#[test]
fn upserts_of_the_same_new_row_at_once_make_it_once() {
    let fixture = Fixture::new();
    let bench = Bridged::open(&fixture, Bridge::tls, |_| {});
    races::upserts_of_the_same_new_row_at_once_make_it_once(&bench.running, &fixture);
}

/// A number of a sequence is not given back with what was undone, so that it counts attempts.
#[test]
fn what_others_are_in_the_way_of_is_tried_until_the_deadline_and_not_so_many_times() {
    let fixture = Fixture::new();
    let bench = Bridged::open(&fixture, Bridge::plain, over_http);
    bench.sql(
        "CREATE SEQUENCE tries; GRANT ALL ON SEQUENCE tries TO PUBLIC; \
         CREATE FUNCTION meets() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF new.slug = 'never' OR nextval('tries') < 12 THEN \
         RAISE EXCEPTION 'in the way' USING ERRCODE = '40001'; END IF; RETURN new; END $$; \
         CREATE TRIGGER meets BEFORE INSERT ON \"Note\" FOR EACH ROW EXECUTE FUNCTION meets()",
    );
    assert!(bench.call(create(&fixture, "late")).is_ok());
    assert_eq!(bench.sql("SELECT last_value FROM tries"), "12");
    let budget = Duration::from_secs(1);
    let began = Instant::now();
    let never = bench.running.submit(create(&fixture, "never"), budget).answer();
    // Whether or not one more try was under way.
    assert_eq!(told(&never).map(|(code, _)| code), Some(Code::Timeout));
    assert!(began.elapsed() >= budget);
}

#[test]
fn a_flood_of_one_kind_of_calls_lets_the_other_kind_through() {
    let fixture = Fixture::new();
    let bench = Bridged::open(&fixture, Bridge::plain, |config| {
        over_http(config);
        config.pool_size = 3;
    });
    floods::a_flood_of_one_kind_of_calls_lets_the_other_kind_through(&bench.running, &fixture, || {
        Locked::new(&bench)
    });
}

#[test]
fn over_a_bridge_who_takes_long_leaves_a_connection_to_the_others() {
    let fixture = Fixture::new();
    let bench = Bridged::open(&fixture, Bridge::plain, |config| {
        over_http(config);
        config.pool_size = 4;
    });
    shares::who_takes_long_leaves_a_connection_to_the_others(&bench.running, &fixture, || {
        Locked::new(&bench)
    });
}

/// Somebody who locks the table of samples until dropped.
struct Locked<'a> {
    bench: &'a Bridged,
    session: std::process::Child,
}

impl<'a> Locked<'a> {
    fn new(bench: &'a Bridged) -> Self {
        let asked = "SELECT count(*) FROM pg_locks WHERE relation = '\"Sample\"'::regclass AND mode = 'AccessExclusiveLock'";
        // One that was terminated may still be on its way out.
        soon("nobody else has it locked", LONG, || bench.sql(asked) == "0");
        let script = "BEGIN; LOCK TABLE \"Sample\"; SELECT pg_sleep(60)";
        let session = bench.server.session(&bench.name, script);
        soon("the table is locked", LONG, || bench.sql(asked) == "1");
        Self { bench, session }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.bench.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%' AND datname = current_database()",
        );
        let _ = self.session.wait();
    }
}
