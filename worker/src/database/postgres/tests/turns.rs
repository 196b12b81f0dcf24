//! Who is next, where one caller's statements take long and another's do not.

use std::thread::sleep;
use std::time::{Duration, Instant};

use dbal_servers::postgres::Postgres;
use dbal_shared::plan::Action;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::faults::Locked;
use super::{ADMIN, Private};
use crate::database::cases::shares::{
    Callers, reads_of_single_rows_pass_those_that_wait_for_a_connection,
    who_takes_long_leaves_a_connection_to_the_others,
    whose_reads_of_single_rows_are_held_up_holds_up_nobody_elses,
};
use crate::database::running::{Call, LONG};
use crate::fixture::{ALICE, BOB, Fixture};

#[test]
fn in_postgresql_who_takes_long_leaves_a_connection_to_the_others() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 5);
    who_takes_long_leaves_a_connection_to_the_others(&bench.running, &fixture, || {
        Locked::new(&bench, "\"Sample\"")
    });
}

#[test]
fn in_postgresql_reads_of_single_rows_pass_those_that_wait_for_a_connection() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |_| {});
    reads_of_single_rows_pass_those_that_wait_for_a_connection(&bench.running, &fixture, || {
        Locked::new(&bench, "\"Sample\"")
    });
}

#[test]
fn in_postgresql_whose_reads_of_single_rows_are_held_up_holds_up_nobody_elses() {
    for size in [8, 4] {
        let fixture = Fixture::new();
        let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = size);
        whose_reads_of_single_rows_are_held_up_holds_up_nobody_elses(&bench.running, &fixture, || {
            Locked::new(&bench, "\"Sample\"")
        });
    }
}

/// Alice's calls go first, and all wait when Bob's come. Tells how many of hers are answered when all of his are.
fn answered_before(hers: Vec<Call>, his: Vec<Call>) -> usize {
    let mut hers = hers;
    for call in his {
        assert!(call.answer().is_ok());
    }
    let ahead = hers
        .iter_mut()
        .filter_map(Call::try_answer)
        .map(|answer| assert!(answer.is_ok()));
    let ahead = ahead.count();
    for call in &hers {
        call.control.cancel();
    }
    ahead
}

/// A row of which each statement that looks at it takes so long.
fn slow_sample(bench: &Private<'_>, seconds: &str) {
    bench.sql(&format!(
        "INSERT INTO \"Sample\" (id) VALUES (1); ALTER TABLE \"Sample\" RENAME TO samples; \
         CREATE VIEW \"Sample\" AS SELECT * FROM samples WHERE pg_sleep({seconds}) IS NOT NULL; \
         GRANT ALL ON \"Sample\" TO PUBLIC"
    ));
}

/// The nth of some.
type Calls<'a> = &'a dyn Fn(i64) -> ValidPlan;

#[test]
fn in_postgresql_who_takes_the_databases_time_comes_behind_who_takes_little_of_it() {
    const EACH: i64 = 60;
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |_| {});
    let callers = Callers {
        running: &bench.running,
        fixture: &fixture,
    };
    slow_sample(&bench, "0.05");
    bench.sql(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF new.slug LIKE 'slow%' THEN PERFORM pg_sleep(0.05); END IF; RETURN new; END $$; \
         CREATE TRIGGER pause BEFORE INSERT ON \"Note\" FOR EACH ROW EXECUTE FUNCTION pause()",
    );
    let kinds: [(&str, Calls<'_>, Calls<'_>); 2] = [
        ("reads", &|_| callers.count("Sample"), &|_| callers.count("Note")),
        ("changes", &|nth| callers.note(&format!("slow{nth}")), &|nth| {
            callers.note(&format!("{nth}"))
        }),
    ];
    for (kind, long, short) in kinds {
        let hers = (0..EACH)
            .map(|nth| callers.submit(ALICE, long(nth), LONG))
            .collect();
        let his = (0..EACH)
            .map(|nth| callers.submit(BOB, short(nth), LONG))
            .collect();
        let ahead = answered_before(hers, his);
        // In turns by calls it would be as many as his.
        assert!(ahead < 20, "{ahead} {kind}");
    }
}

#[test]
fn in_postgresql_reads_that_share_connections_count_by_what_they_take_of_them() {
    /// More than find a place at once.
    const HERS: usize = 700;
    const HIS: usize = 300;
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |_| {});
    let callers = Callers {
        running: &bench.running,
        fixture: &fixture,
    };
    slow_sample(&bench, "0.02");
    let sample = || {
        let action = Action::Read {
            target: fixture.target("Sample", "id", Value::Int(1)),
            projection: fixture.projection("Sample", &["id"]),
            includes: Vec::new(),
        };
        fixture.plan(ADMIN, "Sample", action)
    };
    let ahead = || {
        // So that none of hers is done before his have come.
        let locked = Locked::new(&bench, "samples");
        let hers = (0..HERS).map(|_| callers.submit(ALICE, sample(), LONG)).collect();
        let his = (0..HIS)
            .map(|_| callers.submit(BOB, callers.user(), LONG))
            .collect();
        drop(locked);
        answered_before(hers, his)
    };
    // In turns by calls it would be as many as his at least, beside those that had a place. By time it is fewer, unless one of his
    // that had its turn long ago waits on a connection behind hers.
    let seen: Vec<usize> = std::iter::repeat_with(ahead)
        .take(12)
        .scan(false, |is_shown, ahead| {
            (!*is_shown).then(|| {
                *is_shown = ahead < HIS;
                ahead
            })
        })
        .collect();
    println!("{seen:?} of hers");
    assert!(seen.last().is_some_and(|ahead| *ahead < HIS), "{seen:?}");
}

/// A call that is cancelled while it has a connection, or while it waits for one, gives its place back.
#[test]
fn in_postgresql_who_goes_away_again_and_again_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 5);
    let callers = Callers {
        running: &bench.running,
        fixture: &fixture,
    };
    for round in 0..6 {
        let locked = Locked::new(&bench, "\"Sample\"");
        let calls: Vec<Call> = (0..20)
            .map(|_| callers.submit(ALICE, callers.count("Sample"), LONG))
            .collect();
        sleep(Duration::from_millis(if round % 2 == 0 { 150 } else { 0 }));
        for call in &calls {
            call.control.cancel();
        }
        for call in calls {
            drop(call.answer());
        }
        drop(locked);
    }
    let began = Instant::now();
    let calls: Vec<Call> = (0..20)
        .map(|_| callers.submit(ALICE, callers.count("Note"), LONG))
        .collect();
    assert!(calls.into_iter().all(|call| call.answer().is_ok()));
    assert!(began.elapsed() < LONG);
    assert_eq!(bench.running.database().queued(), 0);
}
