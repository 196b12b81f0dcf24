//! Answers that are kept against answers that are read: what is given out of the cache is what the database would have said to this
//! caller at that moment, whatever is under way meanwhile.

pub(super) mod world;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dbal_config::{Sqlite, Synchronous};
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Reply};
use dbal_sql::{SQLITE, ValidPlan};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::Connections;
use super::running::{LONG, Running};
use super::sqlite::open;
use super::sqlite::session::{read_task, write_task};
use super::trouble::Trouble;
use crate::cache::{Bounds, Cache, Others};
use crate::fixture::json;
use crate::job::{Control, Job, Refusal, Task, Ticket, What};
use world::{Deed, Question, Rules, World, deeds, questions, rules};

pub(super) const ALONE: Bounds = Bounds {
    bytes: 1024 * 1024,
    longest: Duration::from_mins(5),
    others: Others::WithinTtl,
};

/// A step of what happens. Numbers say which of those that are under way.
#[derive(Clone, Debug)]
enum Happening {
    /// A read is asked for; where nothing is kept, it sees the rows of this moment.
    Asks(Question),
    /// Its answer arrives.
    Answered(usize),
    /// A write is asked for.
    Writes(Deed),
    /// It is committed.
    Commits(usize),
    /// Its answer leaves.
    Ends(usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        12 => questions().prop_map(Happening::Asks),
        10 => any::<usize>().prop_map(Happening::Answered),
        1 => deeds().prop_map(Happening::Writes),
        3 => any::<usize>().prop_map(Happening::Commits),
        3 => any::<usize>().prop_map(Happening::Ends),
    ];
    prop::collection::vec(one, 200)
}

/// A file with the world's tables in it, and the adapter without threads or cache.
struct Stage {
    folder: TempDir,
    world: World,
    plain: Plain,
    behind: Connection,
}

/// Does each task at once.
struct Plain(Connection);

impl Stage {
    fn new(rules: Rules) -> Self {
        let (folder, world) = (tempfile::tempdir().unwrap(), World::new(rules));
        let plain = Plain(connections(&folder, &world).writer);
        let behind = Connection::open(folder.path().join("test.sqlite")).unwrap();
        // Whose writes reach further than any entity tells.
        let trigger = "CREATE TRIGGER diary AFTER INSERT ON Diary BEGIN UPDATE Doc SET state = 'open' WHERE id = NEW.id; END";
        behind.execute_batch(trigger).unwrap();
        let mut stage = Self {
            folder,
            world,
            plain,
            behind,
        };
        stage.begin(rules);
        stage
    }

    /// The rows of the beginning, and another policy.
    fn begin(&mut self, rules: Rules) {
        let all = "PRAGMA foreign_keys = ON; DELETE FROM Team; DELETE FROM Doc; DELETE FROM Member; DELETE FROM Diary";
        self.behind.execute_batch(all).unwrap();
        self.world = World::new(rules);
        for task in self.world.begin() {
            self.plain.task(task).unwrap();
        }
    }

    fn connections(&self) -> super::sqlite::Connections {
        connections(&self.folder, &self.world)
    }

    fn cache(&self, bounds: Bounds) -> Arc<Cache> {
        Cache::new(self.connections().effects, bounds).unwrap()
    }
}

fn connections(folder: &TempDir, world: &World) -> super::sqlite::Connections {
    let config = Sqlite {
        path: folder.path().join("test.sqlite"),
        readers: 2,
        synchronous: Synchronous::Normal,
        create_tables: true,
    };
    open(&config, world.schema()).unwrap()
}

type Told = Result<Reply, Refusal>;

fn job(task: Task) -> (Job, oneshot::Receiver<Told>) {
    let (ticket, told) = Ticket::own(Arc::new(Control::within(LONG)), "");
    (Job { task, ticket }, told)
}

fn reading(plan: ValidPlan) -> Task {
    Task {
        what: What::One(Box::new(plan)),
        once: None,
    }
}

fn refusal(advice: Advice) -> Refusal {
    Refusal::new(Code::Unavailable, advice, "")
}

fn timeless(outcome: Result<Reply, Refusal>) -> Result<(String, u64), ()> {
    outcome.map(|reply| (reply.json, reply.rows)).map_err(|_| ())
}

#[test]
fn whatever_is_under_way_what_is_kept_is_what_the_caller_would_read() {
    let hits = AtomicU64::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 64,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let stage = Stage::new(Rules::everything());
    let (effects, stage) = (stage.connections().effects, RefCell::new(stage));
    let outcome = runner.run(&(rules(), happenings()), |(rules, happenings)| {
        stage.borrow_mut().begin(rules);
        let stage = stage.borrow();
        let cache = Cache::new(Arc::clone(&effects), ALONE).unwrap();
        let mut reads: Vec<(Job, Told)> = Vec::new();
        // With what was answered, once it is committed.
        let mut writes: Vec<(Job, Deed, Option<Told>)> = Vec::new();
        for happening in happenings {
            match happening {
                Happening::Asks(question) => {
                    let now = || stage.plain.task(reading(stage.world.ask(question)));
                    let (job, mut told) = job(reading(stage.world.ask(question)));
                    if let Some(job) = cache.meet(job) {
                        reads.push((job, now()));
                    } else {
                        let kept = timeless(told.try_recv().unwrap());
                        prop_assert_eq!(kept, timeless(now()), "{:?}", question);
                    }
                }
                Happening::Answered(nth) if !reads.is_empty() => {
                    let (job, outcome) = reads.swap_remove(nth % reads.len());
                    job.answer(outcome);
                }
                Happening::Writes(deed) => {
                    let (job, _) = job(stage.world.task(deed));
                    writes.push((cache.meet(job).unwrap(), deed, None));
                }
                Happening::Commits(nth) if !writes.is_empty() => {
                    let nth = nth % writes.len();
                    let (_, deed, outcome) = &mut writes[nth];
                    if outcome.is_none() {
                        *outcome = Some(stage.plain.task(stage.world.task(*deed)));
                    }
                }
                Happening::Ends(nth) if !writes.is_empty() => {
                    let (job, _, outcome) = writes.swap_remove(nth % writes.len());
                    // What was not committed has failed, and is not.
                    job.answer(outcome.unwrap_or_else(|| Err(refusal(Advice::Retry))));
                }
                Happening::Answered(_) | Happening::Commits(_) | Happening::Ends(_) => {}
            }
        }
        hits.fetch_add(cache.sample().hits, Ordering::Relaxed);
        Ok(())
    });
    outcome.unwrap();
    // Else it would have shown nothing.
    assert!(hits.load(Ordering::Relaxed) > 200, "{hits:?}");
}

#[test]
fn of_a_write_whose_end_nobody_knows_nothing_is_kept_until_it_can_not_come_any_more() {
    let stage = Stage::new(Rules::everything());
    let cache = stage.cache(ALONE);
    let ask = || stage.world.ranks();
    let is_kept = || {
        let (first, _) = job(reading(ask()));
        if let Some(first) = cache.meet(first) {
            first.answer(stage.plain.task(reading(ask())));
        }
        let (second, _) = job(reading(ask()));
        cache.meet(second).is_none()
    };
    assert!(is_kept());
    for end in [0, 1] {
        let (write, _) = job(reading(stage.world.rank(7)));
        let write = cache.meet(write).unwrap();
        assert!(!is_kept(), "while it is under way");
        if end == 0 {
            write.answer(Err(refusal(Advice::Final)));
            assert!(is_kept(), "it was not done");
        } else {
            // As when its thread has died.
            drop(write);
            assert!(!is_kept());
        }
    }
    let cache = stage.cache(ALONE);
    let (write, _) = job(reading(stage.world.rank(7)));
    cache
        .meet(write)
        .unwrap()
        .answer(Err(refusal(Advice::OutcomeUnknown)));
    let (read, _) = job(reading(ask()));
    let read = cache.meet(read).unwrap();
    read.answer(stage.plain.task(reading(ask())));
    assert_eq!((cache.sample().entries, cache.sample().hits), (0, 0));
}

#[test]
fn an_answer_is_kept_no_longer_than_its_time_and_a_reload_empties_the_cache() {
    let stage = Stage::new(Rules::everything());
    let terms = Bounds {
        longest: Duration::from_millis(300),
        ..ALONE
    };
    let cache = stage.cache(terms);
    let ask = || {
        let (read, mut told) = job(reading(stage.world.ranks()));
        match cache.meet(read) {
            Some(read) => {
                read.answer(stage.plain.task(reading(stage.world.ranks())));
                None
            }
            None => Some(json(&told.try_recv().unwrap().unwrap())),
        }
    };
    let began = Instant::now();
    assert_eq!(ask(), None);
    let kept = ask();
    if began.elapsed() < Duration::from_millis(250) {
        assert_eq!(kept.unwrap()["rank"], 2);
    }
    // Behind the daemon's back.
    stage.behind.execute("UPDATE Doc SET rank = 9", []).unwrap();
    std::thread::sleep(Duration::from_millis(310));
    assert_eq!(ask(), None, "its time is over");
    cache.empty();
    assert_eq!((ask(), cache.sample().entries), (None, 1));
}

#[test]
fn who_has_been_answered_sees_his_write_and_nobody_sees_an_older_row_after_a_newer_one() {
    let stage = Stage::new(Rules::everything());
    let running = Running::caching(Connections::Sqlite(stage.connections()), ALONE);
    let (is_over, done) = (AtomicBool::new(false), AtomicI64::new(0));
    let rank = |reply: &Reply| json(reply)["rank"].as_i64().unwrap();
    let sample = || running.database().cache().unwrap().sample();
    running.call(stage.world.rank(0)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut newest = 0;
                while !is_over.load(Ordering::Relaxed) {
                    newest = newest.max(done.load(Ordering::SeqCst));
                    let seen = rank(&running.call(stage.world.ranks()).unwrap());
                    assert!(seen >= newest, "{seen} after {newest}");
                    newest = seen;
                }
            });
        }
        let began = Instant::now();
        let mut next = 1;
        // Both have happened often enough, however busy the machine is.
        while next <= 60 || sample().hits < 60 {
            assert!(began.elapsed() < LONG, "{:?}", sample());
            let told = running.call(stage.world.rank(next)).unwrap();
            assert_eq!(rank(&told), next);
            done.store(next, Ordering::SeqCst);
            assert_eq!(rank(&running.call(stage.world.ranks()).unwrap()), next);
            next += 1;
            std::thread::sleep(Duration::from_millis(2));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_answer_in_which_an_entity_has_a_part_that_does_not_say_cache_is_not_kept() {
    let stage = Stage::new(Rules::everything());
    let cache = stage.cache(ALONE);
    for question in [stage.world.of_diaries(), stage.world.with_diaries()] {
        for _ in 0..2 {
            let (read, _) = job(reading(question.clone()));
            let read = cache.meet(read).unwrap();
            read.answer(stage.plain.task(reading(question.clone())));
        }
    }
    assert_eq!((cache.sample().entries, cache.sample().misses), (0, 0));
}

/// A question of the process itself about a session: it must see a revocation.
#[test]
fn what_the_worker_asks_for_itself_is_never_kept() {
    let stage = Stage::new(Rules::everything());
    let schema = Arc::clone(stage.world.shared_schema());
    let doc = schema.by_name("Doc").unwrap();
    let target = dbal_shared::plan::Target {
        column: doc.key,
        value: dbal_shared::value::Value::Int(1),
    };
    let own = || ValidPlan::of_our_own(&schema, doc.id, target.clone(), vec![doc.key]).unwrap();
    let cache = stage.cache(ALONE);
    for _ in 0..2 {
        let (read, _) = job(reading(own()));
        cache.meet(read).unwrap().answer(stage.plain.task(reading(own())));
    }
    assert_eq!((cache.sample().entries, cache.sample().misses), (0, 0));
}

impl Plain {
    fn task(&self, task: Task) -> Told {
        let Self(connection) = self;
        let control = Control::within(LONG);
        if !task.is_write() {
            return read_task(connection, &SQLITE, &task, &control).map_err(Trouble::into_refusal);
        }
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let outcome = write_task(connection, &SQLITE, &task, &control);
        let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
        connection.execute_batch(end).unwrap();
        outcome.map_err(Trouble::into_refusal)
    }
}
