//! What goes wrong around a database while calls run: deadlines, locks, kills, cut connections, crowds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use dbal_config::SslMode;
use dbal_servers::postgres::Postgres;
use dbal_servers::proxy;
use dbal_servers::watch::assert_soon;
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation};
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;

use super::super::open::open;
use super::{ADMIN, Call, LONG, Private, soon, told};
use crate::database::beside::Beside;
use crate::database::cases::shares::Callers;
use crate::database::cases::{Bench, floods, races};
use crate::database::sweep::Keeping;
use crate::fixture::{ALICE, BOB, Fixture, memo, text, uuid};
use crate::generate::now_ms;
use crate::job::{Task, What};
use crate::once::{Once, Request};
use crate::together::Step;

/// Keeps a statement of ours running: it waits in a trigger.
fn slow_inserts(bench: &Private<'_>) {
    bench.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF new.slug LIKE 'slow%' THEN PERFORM pg_sleep(20); END IF; RETURN new; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON \"Note\" FOR EACH ROW EXECUTE FUNCTION slow()",
    );
}

#[test]
fn a_statement_is_gone_soon_after_the_deadline_and_nothing_of_it_is_left() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    slow_inserts(&bench);
    let budget = Duration::from_millis(600);
    let (mut answered, mut gone) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut watch = bench.server.watch(&bench.name);
        let (began, due) = (Instant::now(), SystemTime::now() + budget);
        let call = bench.submit(Private::create(&fixture, "slow"), budget);
        watch.begun();
        assert_eq!(told(&call.answer()), Some((Code::Timeout, Advice::Retry)));
        answered.push(began.elapsed().saturating_sub(budget));
        gone.push(watch.gone_after(due));
    }
    assert_soon("answered after the deadline", answered);
    assert_soon("gone after the deadline", gone);
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
    assert!(bench.call(Private::create(&fixture, "quick")).is_ok());
}

#[test]
fn a_statement_is_gone_soon_after_nobody_waits_for_it() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    slow_inserts(&bench);
    let (mut answered, mut gone) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut watch = bench.server.watch(&bench.name);
        let call = bench.submit(Private::create(&fixture, "slow"), LONG);
        watch.begun();
        let (began, left) = (Instant::now(), SystemTime::now());
        call.control.cancel();
        assert_eq!(told(&call.answer()), Some((Code::Timeout, Advice::Retry)));
        answered.push(began.elapsed());
        gone.push(watch.gone_after(left));
    }
    assert_soon("answered after the caller left", answered);
    assert_soon("gone after the caller left", gone);
}

#[test]
fn a_read_that_waits_for_a_lock_is_cancelled_and_those_behind_it_are_answered() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 2);
    // The one connection for single reads is held up by the first; the others wait behind it.
    assert!(bench.call(Private::read(&fixture, ALICE)).is_ok());
    let lock = Locked::new(&bench, "\"User\"");
    let short: Vec<Call> = (0..3)
        .map(|_| bench.submit(Private::read(&fixture, ALICE), Duration::from_millis(300)))
        .collect();
    let long: Vec<Call> = (0..3)
        .map(|_| bench.submit(Private::read(&fixture, BOB), LONG))
        .collect();
    for call in short {
        assert_eq!(told(&call.answer()), Some((Code::Timeout, Advice::Retry)));
    }
    drop(lock);
    for call in long {
        assert!(call.answer().unwrap().json.contains("bob"));
    }
}

/// Somebody who locks a table until dropped.
pub(super) struct Locked<'a> {
    bench: &'a Private<'a>,
    session: std::process::Child,
}

impl<'a> Locked<'a> {
    pub(super) fn new(bench: &'a Private<'a>, table: &str) -> Self {
        let asked = format!(
            "SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass \
            AND mode = 'AccessExclusiveLock'"
        );
        // One that was terminated may still be on its way out.
        soon("nobody else has it locked", LONG, || bench.sql(&asked) == "0");
        let script = format!("BEGIN; LOCK TABLE {table}; SELECT pg_sleep(60)");
        let session = bench.server.session(&bench.name, &script);
        soon("the table is locked", LONG, || bench.sql(&asked) == "1");
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

#[test]
fn cancelling_some_of_many_reads_takes_no_other_with_it() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    let mut expected = 0;
    for round in 0..20_u64 {
        let calls: Vec<Call> = (0..100_u64)
            .map(|nth| {
                let is_hurried = nth % 3 == 0;
                expected += usize::from(!is_hurried);
                let budget = if is_hurried {
                    Duration::from_micros((nth + 1) * (round + 1) * 10)
                } else {
                    LONG
                };
                bench.submit(Private::read(&fixture, ALICE), budget)
            })
            .collect();
        for (nth, call) in calls.into_iter().enumerate() {
            let outcome = call.answer();
            match told(&outcome) {
                None => expected -= usize::from(nth % 3 != 0),
                Some(told) => {
                    assert_eq!((nth % 3, told), (0, (Code::Timeout, Advice::Retry)));
                }
            }
        }
    }
    assert_eq!(expected, 0);
}

#[test]
fn when_every_connection_is_taken_changes_wait_until_their_deadline_and_reads_go_on() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    slow_inserts(&bench);
    let taken: Vec<Call> = (0..2)
        .map(|nth| bench.submit(Private::create(&fixture, &format!("slow{nth}")), LONG))
        .collect();
    soon("two run", Duration::from_secs(5), || bench.at_work() == "2");
    // Another caller's: hers would not be taken while she has one that takes long.
    let callers = Callers {
        running: &bench.running,
        fixture: &fixture,
    };
    let short = Duration::from_millis(300);
    let waiting = callers.submit(BOB, Private::create(&fixture, "waits"), short);
    assert!(
        bench.call(Private::read(&fixture, ALICE)).is_ok(),
        "a single read has its own place"
    );
    assert_eq!(told(&waiting.answer()), Some((Code::Timeout, Advice::Retry)));
    for call in &taken {
        call.control.cancel();
    }
    assert!(bench.call(Private::create(&fixture, "after")).is_ok());
    for call in taken {
        assert_eq!(told(&call.answer()), Some((Code::Timeout, Advice::Retry)));
    }
    assert_eq!(bench.sql("SELECT slug FROM \"Note\""), "after");
}

#[test]
fn a_flood_of_one_kind_of_calls_lets_the_other_kind_through() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 3);
    floods::a_flood_of_one_kind_of_calls_lets_the_other_kind_through(&bench.running, &fixture, || {
        Locked::new(&bench, "\"Sample\"")
    });
}

#[test]
fn changes_that_get_into_each_others_way_all_succeed() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 8);
    for nth in 0..20 {
        bench.call(Private::create(&fixture, &format!("n{nth}"))).unwrap();
    }
    let calls: Vec<Call> = (0..40)
        .map(|rank| {
            let action = Action::UpdateMany {
                filter: Predicate::True,
                values: fixture.values("Note", &[("rank", Value::Int(rank))]),
            };
            // Its own lane each, or they would come one after the other.
            bench.submit(fixture.plan(ADMIN, "Note", action), LONG)
        })
        .collect();
    for call in calls {
        assert_eq!(call.answer().unwrap().json, "20");
    }
    assert_eq!(
        bench.sql("SELECT count(DISTINCT rank) FROM \"Note\""),
        "1",
        "all or none"
    );
}

/// Each would wait for what another one has locked, and that one for him.
#[test]
fn transactions_that_lock_the_same_rows_in_opposite_orders_all_succeed() {
    const CALLERS: i64 = 8;
    const EACH: i64 = 5;
    // The server finds one deadlock in nine seconds: who left it to the server would wait for longer than he can.
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let bench = Private::on(server, &fixture, |config| {
        config.pool_size = 12;
        let patience = format!("ALTER DATABASE {} SET deadlock_timeout = '9s'", config.database);
        server.sql("postgres", &patience);
    });
    let ids = [
        "0199a000-0000-7000-8000-0000000000d1",
        "0199a000-0000-7000-8000-0000000000d2",
    ];
    for id in ids {
        bench.sql(&format!(
            "INSERT INTO \"Note\" (id, \"ownerId\", slug, state, \"createdAt\", \"updatedAt\") \
             VALUES ('{id}', '{ALICE}', '{id}', 'draft', now(), now())"
        ));
    }
    let deadlocks = || {
        let told = bench.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
        told.parse::<i64>().unwrap()
    };
    let began = Instant::now();
    let before = deadlocks();
    let mut took = Vec::new();
    let mut late = 0;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (bench, fixture) = (&bench, &fixture);
                scope.spawn(move || {
                    let beside = Beside {
                        fixture,
                        running: &bench.running,
                    };
                    let change = |id: &str| {
                        let action = Action::Update {
                            target: fixture.target("Note", "id", uuid(id)),
                            values: fixture.values("Note", &[("rank", Value::Int(caller))]),
                            projection: fixture.projection("Note", &["id"]),
                        };
                        Step::Ready(fixture.plan(ADMIN, "Note", action))
                    };
                    let both = (0..EACH).map(|nth| {
                        let mut steps = ids.map(change);
                        if (caller + nth) % 2 == 1 {
                            steps.reverse();
                        }
                        let what = beside.together(Isolation::Serializable, steps.into());
                        let began = Instant::now();
                        let told = told(&beside.submit(what, None).answer());
                        (told, began.elapsed())
                    });
                    both.collect::<Vec<_>>()
                })
            })
            .collect();
        for (told, time) in callers.into_iter().flat_map(|caller| caller.join().unwrap()) {
            late += usize::from(told.is_some());
            took.push(time);
        }
    });
    took.sort();
    println!(
        "{late} of {} late, {} deadlocks, in {:?}; each {:?} (median), {:?} (longest)",
        took.len(),
        deadlocks() - before,
        began.elapsed(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert_eq!(late, 0);
}

#[test]
fn upserts_of_the_same_new_row_at_once_make_it_once() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 8);
    races::upserts_of_the_same_new_row_at_once_make_it_once(&bench.running, &fixture);
}

#[test]
fn a_name_stands_for_one_request_however_many_come_at_once() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 8);
    races::a_name_stands_for_one_request_however_many_come_at_once(&bench.running, &fixture);
}

/// The first one has looked for an answer and waits for the row; meanwhile the name is taken.
#[test]
fn a_name_that_is_taken_while_its_request_waits_is_not_taken_again() {
    let fixture = Fixture::new();
    // Of four, who has one that takes long would get no other.
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 8);
    let made = bench.call(Private::create(&fixture, "n")).unwrap();
    assert_eq!(made.json, "{\"slug\":\"n\"}");
    let mut holding = bench.server.session(
        &bench.name,
        "BEGIN; UPDATE \"Note\" SET rank = 1; SELECT pg_sleep(60)",
    );
    let count = |sql: &str| bench.sql(sql) == "1";
    soon("the row is held", LONG, || {
        count(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
        )
    });
    let values = fixture.values("Note", &[("rank", Value::Int(7))]);
    let action = Action::Update {
        target: fixture.target("Note", "id", uuid(&bench.sql("SELECT id FROM \"Note\""))),
        values,
        projection: fixture.projection("Note", &["slug"]),
    };
    let first = races::named(&bench.running, &fixture, "k", action);
    soon("the first one waits", LONG, || {
        count(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
    });
    let action = Action::Create {
        values: fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text("m"))]),
        projection: fixture.projection("Note", &["slug"]),
    };
    let second = races::named(&bench.running, &fixture, "k", action);
    assert_eq!(second.answer().unwrap().json, "{\"slug\":\"m\"}");
    bench.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()");
    assert_eq!(told(&first.answer()), Some((Code::Invalid, Advice::OtherRequest)));
    holding.wait().unwrap();
    assert_eq!(
        bench.sql("SELECT count(*) FROM \"Note\" WHERE rank = 7"),
        "0",
        "nothing of it stays"
    );
}

#[test]
fn a_server_that_is_killed_and_comes_back_loses_and_doubles_nothing() {
    let fixture = Fixture::new();
    let server = Postgres::start();
    let bench = Private::on(&server, &fixture, |_| {});
    let (mut acknowledged, mut refused, mut unknown) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut sent = 0_u32;
    let mut in_flight: Vec<(String, Call)> = Vec::new();
    let began = Instant::now();
    let mut is_killed = false;
    std::thread::scope(|scope| {
        let mut restarting: Option<std::thread::ScopedJoinHandle<'_, ()>> = None;
        while began.elapsed() < Duration::from_secs(6) {
            while in_flight.len() < 16 {
                let slug = format!("n{sent}");
                sent += 1;
                in_flight.push((slug.clone(), bench.submit(Private::create(&fixture, &slug), LONG)));
            }
            if !is_killed && began.elapsed() > Duration::from_secs(1) {
                is_killed = true;
                restarting = Some(scope.spawn(|| {
                    server.kill();
                    std::thread::sleep(Duration::from_millis(800));
                    server.launch();
                }));
            }
            let (slug, call) = in_flight.remove(0);
            match told(&call.answer()) {
                None => acknowledged.insert(slug),
                Some((_, Advice::OutcomeUnknown)) => unknown.insert(slug),
                Some((Code::Unavailable, Advice::Retry)) => {
                    // As a client would.
                    std::thread::sleep(Duration::from_millis(2));
                    refused.insert(slug)
                }
                Some(other) => panic!("{slug}: {other:?}"),
            };
        }
        if let Some(thread) = restarting {
            thread.join().unwrap();
        }
    });
    for (slug, call) in in_flight {
        match told(&call.answer()) {
            None => acknowledged.insert(slug),
            Some((_, Advice::OutcomeUnknown)) => unknown.insert(slug),
            Some(_) => refused.insert(slug),
        };
    }
    let found: BTreeSet<String> = bench
        .sql("SELECT slug FROM \"Note\"")
        .lines()
        .map(str::to_owned)
        .collect();
    println!(
        "sent {sent}: acknowledged {}, refused {}, unknown {} (of which {} are there); found {}",
        acknowledged.len(),
        refused.len(),
        unknown.len(),
        unknown.intersection(&found).count(),
        found.len()
    );
    assert!(!refused.is_empty(), "the kill was seen");
    assert_eq!(
        acknowledged.difference(&found).count(),
        0,
        "no acknowledged write is lost"
    );
    assert_eq!(
        refused.intersection(&found).count(),
        0,
        "what was refused was not done"
    );
    assert!(
        bench.call(Private::create(&fixture, "after")).is_ok(),
        "it recovers by itself"
    );
}

#[test]
fn a_connection_cut_at_the_commit_leaves_the_outcome_unknown_and_one_cut_before_is_tried_again() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    // Of the kind that has a transaction.
    let many = || {
        let rows = vec![fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text("a"))])];
        fixture.plan(ADMIN, "Note", Action::CreateMany { rows })
    };
    for is_passed_on in [false, true] {
        let proxy = proxy::cutting(server.port(), "COMMIT\0", is_passed_on);
        let bench = Private::on(server, &fixture, |config| {
            // The tables, by the way that is not cut.
            open(config, fixture.policy.schema()).unwrap();
            config.create_tables = false;
            config.port = proxy;
            config.ssl_mode = SslMode::Disable;
        });
        let outcome = bench.call(many());
        assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::OutcomeUnknown)));
        let found = bench.sql("SELECT count(*) FROM \"Note\"");
        assert_eq!(found, if is_passed_on { "1" } else { "0" });
        // Reads go on, on connections that are made anew.
        assert!(bench.call(Private::count(&fixture)).is_ok());
    }
    let proxy = proxy::cutting(server.port(), "INSERT INTO", true);
    let bench = Private::on(server, &fixture, |config| {
        open(config, fixture.policy.schema()).unwrap();
        config.create_tables = false;
        config.port = proxy;
        config.ssl_mode = SslMode::Disable;
    });
    let outcome = bench.call(Private::create(&fixture, "a"));
    assert_eq!(
        told(&outcome),
        Some((Code::Unavailable, Advice::Retry)),
        "cut each time"
    );
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
}

#[test]
fn a_database_that_is_down_is_told_at_once_and_one_that_is_up_again_serves() {
    let fixture = Fixture::new();
    let server = Postgres::start();
    let bench = Private::on(&server, &fixture, |_| {});
    let mut samples = bench.running.database().samples();
    assert!(bench.call(Private::read(&fixture, ALICE)).is_ok());
    server.kill();
    let refused = || {
        let began = Instant::now();
        let outcome = bench.call(Private::read(&fixture, ALICE));
        assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::Retry)));
        began.elapsed()
    };
    // A server process outlives the one that was killed by a moment.
    soon("nobody serves", Duration::from_secs(5), || {
        bench.call(Private::read(&fixture, ALICE)).is_err()
    });
    soon("it is refused at once", Duration::from_secs(5), || {
        refused() < Duration::from_millis(50)
    });
    soon("health says so", Duration::from_secs(5), || {
        !samples.borrow_and_update().is_connected
    });
    server.launch();
    let took = soon("it serves again", Duration::from_secs(10), || {
        bench.call(Private::read(&fixture, ALICE)).is_ok()
    });
    println!("served {took:?} after the server did");
    soon("health says so", Duration::from_secs(5), || {
        samples.borrow_and_update().is_connected
    });
}

/// Old answers go although nobody writes, more than one step removes, and one that is young enough is still given.
#[test]
fn answers_that_are_kept_no_longer_are_removed_from_postgresql_though_nobody_writes() {
    const HOUR_MS: i64 = 3_600_000;
    let fixture = Fixture::new();
    let keeping = Keeping {
        answers_ms: HOUR_MS,
        sweep_every: Duration::from_millis(200),
    };
    let bench = Private::keeping(Postgres::shared(), &fixture, |_| {}, keeping);
    let now = now_ms();
    let named = |now_ms: i64| {
        let principal = Principal {
            id: Some(ALICE.to_owned()),
            ..Principal::default()
        };
        let once = Once::new("k", &principal, Request::new(Isolation::default()), now_ms).unwrap();
        let plan = Private::create(&fixture, "a");
        let memo = memo(plan.action());
        let task = Task {
            what: What::One(Box::new(plan)),
            once: Some(Box::new(once)),
        };
        let call = bench.running.submit_task(task, memo, LONG);
        call.answer().unwrap().json
    };
    let told = named(now - HOUR_MS / 2);
    let old = now - 2 * HOUR_MS;
    bench.sql(&format!(
        "INSERT INTO dbal_idempotency SELECT 'old ' || nth, 'r', 'null', 0, {old} FROM generate_series(1, 200) AS nth"
    ));
    let count = || bench.sql("SELECT count(*) FROM dbal_idempotency");
    soon("the old ones are gone", LONG, || count() == "1");
    assert_eq!(named(now), told);
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "1");
    // By the hour that counts, it was kept for a second less than that, and by then longer.
    bench.sql(&format!(
        "UPDATE dbal_idempotency SET created = {}",
        now_ms() - HOUR_MS + 1_000
    ));
    soon("it is gone, too", LONG, || count() == "0");
}
