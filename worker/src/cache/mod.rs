//! Answers to reads that are kept for a while, where the entities that they show say so.
//!
//! An answer is found by the digest of everything that it depends on but the rows (`ValidPlan::reading`): the plan as this process
//! granted it, with the caller's claims in the conditions of rows and columns. So nobody gets what was read under another's rights.
//! It is given out only while nothing that it is made of can have changed since before it was read (`changes`); how others' writes are
//! heard of, and that nothing is given out while they can't be, is `hearing`'s.

mod changes;
mod effects;
mod hearing;
mod kept;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dbal_shared::ids::{Digest, EntityId};
use dbal_shared::message::{Advice, CacheSample, Reply};

use changes::{Changes, Stamp, later};
pub use effects::{Effects, Reach};
use hearing::Hearing;
pub use hearing::{CHANNEL, Others};
use kept::{Answers, Kept};

use crate::job::{Job, Refusal, Task, What};

/// How much is kept, and how long at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// All answers together, with what it takes to find them, in bytes.
    pub bytes: usize,
    /// Longest time, whatever entities say.
    pub longest: Duration,
    /// What is known of writes by others.
    pub others: Others,
}

/// What is kept.
pub struct Cache {
    effects: Arc<Effects>,
    longest: Duration,
    state: Mutex<State>,
}

struct State {
    changes: Changes,
    answers: Answers,
    hearing: Hearing,
    counts: CacheSample,
}

/// What a call owes the cache when it ends.
pub enum Errand {
    /// Its answer is to be kept.
    Keep(Filling),
    /// What depends on what it changed is no longer true.
    Forget(Writing),
}

/// A read that is under way.
pub struct Filling {
    cache: Arc<Cache>,
    question: Digest,
    entities: Vec<EntityId>,
    ttl: Duration,
    stamp: Stamp,
}

/// A write that is under way. Dropped without a word, it may have been done or not.
pub struct Writing {
    cache: Arc<Cache>,
    reach: Reach,
    is_over: bool,
}

impl Cache {
    /// An empty one; none where no entity wants it.
    pub fn new(effects: Arc<Effects>, terms: Bounds) -> Option<Arc<Self>> {
        let Bounds {
            bytes,
            longest,
            others,
        } = terms;
        effects.keeps_any().then(|| {
            Arc::new(Self {
                longest,
                state: Mutex::new(State {
                    changes: Changes::new(effects.len()),
                    answers: Answers::within(bytes),
                    hearing: Hearing::new(others),
                    counts: CacheSample::default(),
                }),
                effects,
            })
        })
    }

    /// What writes may change.
    pub fn effects(&self) -> &Arc<Effects> {
        &self.effects
    }

    /// Before a call reaches the database: answers it if that can be done without, else notes what has to be done at its end. Answers
    /// go the way of all answers, by the audit.
    pub fn meet(self: &Arc<Self>, mut job: Job) -> Option<Job> {
        if job.task.is_write() {
            if let Some(writing) = self.write(&job.task.what) {
                job.ticket.owe(Errand::Forget(writing));
            }
            return Some(job);
        }
        match self.find(&job.task) {
            Found::Kept(reply) => {
                job.ticket.memo().note = Some("answered from the cache");
                job.answer(Ok(reply));
                None
            }
            Found::Nothing(filling) => {
                job.ticket.owe(Errand::Keep(filling));
                Some(job)
            }
            Found::Aside => Some(job),
        }
    }

    fn find(self: &Arc<Self>, task: &Task) -> Found {
        // Several reads of one moment are read in that moment.
        let What::One(plan) = &task.what else {
            return Found::Aside;
        };
        let (Some(question), Some(basis)) = (plan.reading(), self.effects.basis(plan)) else {
            return Found::Aside;
        };
        let now = Instant::now();
        let mut state = self.state();
        let State {
            changes,
            answers,
            hearing,
            counts,
        } = &mut *state;
        let stamp = changes.stamp(&basis.entities).filter(|_| hearing.hears(now));
        let Some(stamp) = stamp else {
            counts.misses = counts.misses.saturating_add(1);
            return Found::Aside;
        };
        if let Some(kept) = answers.find(&question) {
            if now < kept.until && changes.is_true(kept.stamp, &basis.entities) {
                counts.hits = counts.hits.saturating_add(1);
                return Found::Kept(kept.reply());
            }
            answers.remove(&question);
        }
        counts.misses = counts.misses.saturating_add(1);
        Found::Nothing(Filling {
            cache: Arc::clone(self),
            question,
            entities: basis.entities,
            ttl: basis.ttl.min(self.longest),
            stamp,
        })
    }

    fn write(self: &Arc<Self>, what: &What) -> Option<Writing> {
        let reach = self.effects.reach(what);
        if reach.is_none() {
            return None;
        }
        self.state().changes.begin(&reach);
        Some(Writing {
            cache: Arc::clone(self),
            reach,
            is_over: false,
        })
    }

    /// Lets go of everything: what is asked for from now on is read.
    pub fn empty(&self) {
        self.state().empty();
    }

    /// How it does.
    pub fn sample(&self) -> CacheSample {
        let state = self.state();
        CacheSample {
            entries: u64::try_from(state.answers.len()).unwrap_or(u64::MAX),
            bytes: u64::try_from(state.answers.bytes()).unwrap_or(u64::MAX),
            is_on: state.hearing.hears(Instant::now()),
            ..state.counts
        }
    }

    /// No step under the lock can leave the state half-made.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Found {
    Kept(Reply),
    Nothing(Filling),
    /// Nothing that is kept, nor to be kept.
    Aside,
}

impl State {
    fn empty(&mut self) {
        self.answers.clear();
        self.invalidate(&Reach::Any);
    }

    fn invalidate(&mut self, reach: &Reach) {
        self.changes.note(reach);
        self.counts.invalidations = self.counts.invalidations.saturating_add(1);
    }
}

impl Errand {
    /// The call ends so, and nobody has been told yet.
    pub fn end(self, outcome: &Result<Reply, Refusal>) {
        match (self, outcome) {
            (Errand::Keep(filling), Ok(reply)) => filling.keep(reply),
            (Errand::Keep(_), Err(_)) => {}
            (Errand::Forget(writing), Ok(_)) => writing.end(true),
            (Errand::Forget(writing), Err(refusal)) => {
                writing.end(refusal.failure.advice != Advice::OutcomeUnknown);
            }
        }
    }
}

impl Filling {
    fn keep(self, reply: &Reply) {
        let Self {
            cache,
            question,
            entities,
            ttl,
            stamp,
        } = self;
        let mut state = cache.state();
        let now = Instant::now();
        let until = later(stamp.since, ttl);
        let is_true = state.changes.is_true(stamp, &entities) && state.hearing.hears(now) && now < until;
        if !is_true || !state.answers.takes(reply.json.len()) {
            return;
        }
        let evicted = state.answers.put(question, Kept::new(reply, stamp, until));
        state.counts.evictions = state.counts.evictions.saturating_add(evicted);
    }
}

impl Writing {
    fn end(mut self, is_known: bool) {
        self.is_over = true;
        self.over(is_known);
    }

    fn over(&self, is_known: bool) {
        let mut state = self.cache.state();
        state.changes.end(&self.reach, is_known);
        state.counts.invalidations = state.counts.invalidations.saturating_add(1);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_over {
            self.over(false);
        }
    }
}
