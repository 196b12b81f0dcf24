//! Reads that gather, in tests: whoever goes with others gets what he would get alone.
#![expect(clippy::arithmetic_side_effects, reason = "small numbers that stand here")]

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Failure, Reply};
use dbal_shared::plan::Action;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::cases::Bench;
use super::running::{Call, LONG, Running, told};
use crate::fixture::{ALICE, BOB, Fixture, json, uuid};

/// The writers leave alone what is compared word for word.
const LIVE: usize = 1;
/// A database may have something here that can't be read.
pub(super) const UNREADABLE: usize = 4;
const ADMIN: (&str, &str) = (ALICE, "admin");

pub(super) fn id(nth: usize) -> String {
    format!("0199a000-0000-7000-8000-{nth:012x}")
}

fn read(fixture: &Fixture, user: &str, nth: usize) -> ValidPlan {
    let action = Action::Read {
        target: fixture.target("Note", "id", uuid(&id(nth))),
        projection: fixture.projection("Note", &["slug", "rank", "createdAt"]),
        includes: Vec::new(),
    };
    fixture.plan((user, "user"), "Note", action)
}

/// Notes 0 to 31. A fourth of them is Bob's secret, a fourth is not there.
pub(super) fn fill(bench: &impl Bench) {
    for nth in (0..32).filter(|nth| nth % 4 != 3) {
        let state = if nth % 4 == 2 { "draft" } else { "published" };
        bench.execute(&format!(
            "INSERT INTO \"Note\" (id, \"ownerId\", slug, state, \"rank\", \"createdAt\", \"updatedAt\") \
             VALUES ('{}', '{BOB}', 'n{nth}', '{state}', 0, '2026-01-01', '2026-01-01')",
            id(nth)
        ));
    }
}

pub(super) fn all(calls: Vec<Call>) -> Vec<Result<Reply, Failure>> {
    let answers = calls.into_iter().map(Call::answer);
    // How long it took is nobody's answer.
    let timeless = |reply: Reply| Reply {
        database_us: 0,
        ..reply
    };
    answers.map(|answer| answer.map(timeless)).collect()
}

/// `went_together` tells whether the last reads, so many, went together.
pub(super) fn get_the_same_as_alone(
    fixture: &Fixture,
    running: &Running,
    went_together: &mut dyn FnMut(usize) -> bool,
) {
    let (begun, done) = (AtomicI64::new(0), AtomicI64::new(0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let rank = begun.fetch_add(1, Ordering::SeqCst) + 1;
                let action = Action::Update {
                    target: fixture.target("Note", "id", uuid(&id(LIVE))),
                    values: fixture.values("Note", &[("rank", Value::Int(rank))]),
                    projection: fixture.projection("Note", &["rank"]),
                };
                let changed = running.call(fixture.plan(ADMIN, "Note", action)).unwrap();
                assert_eq!(json(&changed)["rank"], rank);
                done.store(rank, Ordering::SeqCst);
            }
        });
        let nths: Vec<usize> = (0..320)
            .map(|nth| (nth * 7) % 32)
            .filter(|nth| *nth != LIVE)
            .collect();
        went_together(0);
        let plain: Vec<_> = nths
            .iter()
            .flat_map(|nth| all(vec![running.submit(read(fixture, ALICE, *nth), LONG)]))
            .collect();
        assert!(!went_together(nths.len()), "one by one");
        for (answer, nth) in plain.iter().zip(&nths).filter(|(_, nth)| **nth != UNREADABLE) {
            assert_eq!(answer.is_ok(), nth % 4 < 2, "{nth}: {answer:?}");
        }
        // Nobody has the same claims as another.
        let strangers = nths
            .iter()
            .enumerate()
            .map(|(caller, nth)| running.submit(read(fixture, &id(1_000 + caller), *nth), LONG));
        let behind = all(strangers.collect());
        assert!(!went_together(nths.len()), "different claims don't go together");
        assert_eq!(behind, plain);
        for _ in 0..20 {
            let together = nths
                .iter()
                .map(|nth| running.submit(read(fixture, ALICE, *nth), LONG));
            assert_eq!(all(together.collect()), plain);
            // What changes meanwhile is seen as it is between call and answer, by each.
            let least = done.load(Ordering::SeqCst);
            let live: Vec<_> = (0..60)
                .map(|_| running.submit(read(fixture, ALICE, LIVE), LONG))
                .collect();
            for answer in all(live) {
                let rank = json(&answer.unwrap())["rank"].as_i64().unwrap();
                assert!((least..=begun.load(Ordering::SeqCst)).contains(&rank), "{rank}");
            }
        }
        // Above that is mostly a read alone, since one of the keys fails whoever goes with it.
        let good: Vec<usize> = nths
            .iter()
            .copied()
            .filter(|nth| nth % 4 < 2 && *nth != UNREADABLE)
            .collect();
        let went = (0..50).any(|_| {
            let reads = good
                .iter()
                .map(|nth| running.submit(read(fixture, ALICE, *nth), LONG));
            assert!(all(reads.collect()).iter().all(Result::is_ok));
            went_together(good.len())
        });
        assert!(went);
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(done.load(Ordering::SeqCst) > 0);
}

/// Bob's drafts are nobody else's, and all ask at once.
pub(super) fn get_their_own(fixture: &Fixture, running: &Running) {
    for _ in 0..10 {
        let asked = |nth: usize| if nth.is_multiple_of(2) { BOB } else { ALICE };
        let calls: Vec<_> = (0..100)
            .map(|nth| running.submit(read(fixture, asked(nth), 2 + 4 * (nth % 8)), LONG))
            .collect();
        for (nth, answer) in all(calls).into_iter().enumerate() {
            let expected = (asked(nth) == ALICE).then_some((Code::NotFound, Advice::Final));
            assert_eq!(told(&answer), expected, "{nth}");
        }
    }
}

/// While the one that they wait for is held up. `lock` holds up whoever reads a note until it is dropped.
pub(super) fn leave_when_their_time_is_over<L>(fixture: &Fixture, running: &Running, lock: impl Fn() -> L) {
    let held = lock();
    let began = Instant::now();
    let first = running.submit(read(fixture, ALICE, 0), LONG);
    let hurried = [Duration::from_millis(20), LONG];
    let leaving: Vec<Call> = (0..8)
        .map(|nth| running.submit(read(fixture, ALICE, nth), hurried[nth % 2]))
        .collect();
    for call in leaving.iter().skip(1).step_by(2) {
        call.control.cancel();
    }
    for call in leaving {
        assert_eq!(told(&call.answer()), Some((Code::Timeout, Advice::Retry)));
    }
    assert!(began.elapsed() < LONG / 3, "{:?}", began.elapsed());
    drop(held);
    assert!(first.answer().is_ok());
}
