//! Two workers that keep answers of one database: what one writes the other hears, also when the connection that it hears by is cut,
//! stands still, or is somebody else's.

use dbal_shared::message::CacheSample;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::listen::BELIEVED;
use super::*;
use crate::cache::{Bounds, Others};
use crate::database::cached::world::{Deed, Question, Rules, World, deeds, questions, rules};
use crate::job::{Task, What};
use crate::ledger::Memo;

const HEARD: Bounds = Bounds {
    bytes: 1024 * 1024,
    longest: Duration::from_mins(5),
    others: Others::AreHeard,
};

/// Two workers, and one without a cache.
struct Pair {
    name: String,
    world: World,
    workers: [Running; 2],
    plain: Running,
}

impl Pair {
    fn new(rules: Rules) -> Self {
        let (server, world) = (Postgres::shared(), World::new(rules));
        let name = server.database();
        let connections = || {
            let mut config = config(server, &name);
            config.pool_size = 2;
            Connections::Postgres(open(&config, world.schema()).unwrap())
        };
        let plain = Running::on(connections());
        let pair = Self {
            workers: [(); 2].map(|()| Running::caching(connections(), HEARD)),
            plain,
            world,
            name,
        };
        for task in pair.world.begin() {
            done(task, &pair.plain).unwrap();
        }
        for worker in &pair.workers {
            soon("it listens", LONG, || sample(worker).is_on);
        }
        pair
    }

    fn asked(&self, question: Question, worker: &Running) -> Result<(String, u64), Code> {
        let outcome = worker.call(self.world.ask(question));
        outcome
            .map(|reply| (reply.json, reply.rows))
            .map_err(|failure| failure.code)
    }

    fn sql(&self, script: &str) -> String {
        Postgres::shared().sql(&self.name, script)
    }

    /// The server processes of those that listen.
    fn listeners(&self) -> Vec<String> {
        let script = format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = '{}' AND query LIKE '%pg_listening_channels%' AND pid <> pg_backend_pid()",
            self.name
        );
        self.sql(&script).lines().map(str::to_owned).collect()
    }

    fn rank(&self, worker: &Running) -> i64 {
        let reply = worker.call(self.world.ranks()).unwrap();
        crate::fixture::json(&reply)["rank"].as_i64().unwrap()
    }
}

/// Server processes that stand still until this is dropped.
struct Stopped(Vec<String>);

impl Stopped {
    fn all(pids: Vec<String>) -> Self {
        for pid in &pids {
            Postgres::shared().signal_one(pid, "STOP");
        }
        Self(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            Postgres::shared().signal_one(pid, "CONT");
        }
    }
}

fn done(task: Task, worker: &Running) -> Result<Reply, Failure> {
    worker.submit_task(task, Memo::of_our_own(), LONG).answer()
}

fn sample(worker: &Running) -> CacheSample {
    worker.database().cache().unwrap().sample()
}

#[test]
fn what_one_worker_writes_its_callers_see_at_once_and_those_of_the_other_soon() {
    let pair_hits = std::cell::Cell::new(0);
    let happenings = prop::collection::vec((deeds(), 0..2_usize, prop::collection::vec(questions(), 6)), 12);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 4,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&(rules(), happenings), |(rules, happenings)| {
        let pair = Pair::new(rules);
        for (deed, writer, questions) in happenings {
            let deed: Deed = deed;
            let _ = done(pair.world.task(deed), &pair.workers[writer]);
            for question in &questions {
                let true_now = pair.asked(*question, &pair.plain);
                prop_assert_eq!(
                    &pair.asked(*question, &pair.workers[writer]),
                    &true_now,
                    "{:?}",
                    question
                );
                let other = &pair.workers[1 - writer];
                soon("the other has heard", LONG, || {
                    pair.asked(*question, other) == true_now
                });
                prop_assert_eq!(
                    &pair.asked(*question, other),
                    &true_now,
                    "and keeps to it: {:?}",
                    question
                );
            }
        }
        let hits = pair.workers.iter().map(|worker| sample(worker).hits).sum::<u64>();
        pair_hits.set(pair_hits.get() + hits);
        Ok(())
    });
    outcome.unwrap();
    assert!(pair_hits.get() > 100, "{pair_hits:?}");
}

#[test]
fn while_others_can_not_be_heard_nothing_is_kept_and_nothing_old_is_given_out() {
    let pair = Pair::new(Rules::everything());
    let [one, other] = &pair.workers;
    let keep = || {
        soon("an answer is kept", LONG, || {
            let before = sample(other).hits;
            pair.rank(other);
            sample(other).hits > before
        });
    };
    let write = |rank| one.call(pair.world.rank(rank)).unwrap();
    keep();
    // Cut.
    let before = sample(other);
    for pid in pair.listeners() {
        pair.sql(&format!("SELECT pg_terminate_backend({pid})"));
    }
    soon("it has noticed", LONG, || {
        let now = sample(other);
        !now.is_on || now.invalidations > before.invalidations
    });
    write(11);
    assert_eq!(pair.rank(other), 11);
    keep();
    // Stands still, as behind a firewall that has forgotten it.
    soon("both listen again", LONG, || {
        pair.listeners().len() == 2 && sample(other).is_on
    });
    keep();
    let stopped = Stopped::all(pair.listeners());
    write(12);
    let stale = soon("nothing old is given out", LONG, || pair.rank(other) == 12);
    // Of what was kept before nothing is left when it listens by another connection, which has not heard of the write.
    soon("it listens again", LONG, || sample(other).is_on);
    assert_eq!(pair.rank(other), 12);
    drop(stopped);
    assert!(stale < BELIEVED + Duration::from_secs(5), "{stale:?}");
    keep();
    assert_eq!(pair.rank(other), 12);
    // Somebody who is no worker.
    pair.sql("UPDATE \"Doc\" SET rank = 13; SELECT pg_notify('dbal_cache', '')");
    soon("it has heard of that", LONG, || pair.rank(other) == 13);
}

#[test]
fn a_write_that_is_undone_tells_nobody_and_one_of_an_entity_of_which_nothing_is_kept_neither() {
    let pair = Pair::new(Rules::everything());
    let [one, other] = &pair.workers;
    // What was written to begin with has been heard once nothing comes for two questions.
    let mut before = sample(other).invalidations;
    soon("nothing comes any more", LONG, || {
        std::thread::sleep(Duration::from_millis(1_200));
        std::mem::replace(&mut before, sample(other).invalidations) == before
    });
    let before = sample(other).invalidations;
    // A document of a team that is not there.
    let refused = pair.world.refused();
    assert!(one.call(refused).is_err());
    one.call(pair.world.diary()).unwrap();
    one.call(pair.world.rank(3)).unwrap();
    soon("it has heard of the last", LONG, || {
        sample(other).invalidations > before
    });
    assert_eq!(sample(other).invalidations, before + 1);
    let task = Task {
        what: What::One(Box::new(pair.world.rank(4))),
        once: None,
    };
    done(task, &pair.plain).unwrap();
    soon("also by a worker that keeps nothing", LONG, || {
        pair.rank(other) == 4
    });
}
