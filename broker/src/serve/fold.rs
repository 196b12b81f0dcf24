//! Floods of one refusal: the same caller, refused the same for the same reason, again and again. After some of them within
//! a second the others are counted, not written down one by one; each is told the name of one that is on record.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dbal_shared::ids::RequestId;
use dbal_shared::message::{Refused, Report};

use super::Broker;
use crate::auth::Caller;
use crate::channel::Channel;
use crate::respond::{Outcome, Refusal};

/// How long a flood is counted before it is told of.
const SECOND: Duration = Duration::from_secs(1);
/// Refusals of one kind within a second that are each worth a record: more come from programs that do not listen.
const EACH: u32 = 20;

/// What one caller was refused last.
pub struct Folds {
    last: Mutex<Option<Fold>>,
    kinds: RandomState,
}

struct Fold {
    kind: u64,
    since: Instant,
    seen: u32,
    /// The last that has a record of its own.
    recorded: RequestId,
    /// What is to be told of those that have none.
    pending: Option<Refused>,
}

/// Where a refusal belongs.
struct Place {
    /// The name that its caller is told.
    name: RequestId,
    /// Whether it is the first of those that are only counted.
    is_first_counted: bool,
    /// What is to be told of a flood that it ends.
    ended: Option<Refused>,
}

impl Default for Folds {
    fn default() -> Self {
        Self {
            last: Mutex::new(None),
            kinds: RandomState::new(),
        }
    }
}

impl Folds {
    fn place(&self, outcome: &Outcome, refusal: &Refusal) -> Place {
        let kind = self.kinds.hash_one((
            refusal.code(),
            outcome.method,
            refusal.subject_matter(),
            refusal.operator(),
        ));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = |ended| Place {
            name: outcome.request,
            is_first_counted: false,
            ended,
        };
        match last.as_mut() {
            Some(fold) if fold.kind == kind && fold.since.elapsed() < SECOND => {
                fold.seen = fold.seen.saturating_add(1);
                if fold.seen <= EACH {
                    fold.recorded = outcome.request;
                    return alone(None);
                }
                let is_first_counted = fold.pending.is_none();
                if is_first_counted {
                    fold.pending = outcome.report(refusal).map(|refused| Refused {
                        request: fold.recorded,
                        ..refused
                    });
                }
                if let Some(pending) = &mut fold.pending {
                    pending.repeated = pending.repeated.saturating_add(1);
                }
                Place {
                    name: fold.recorded,
                    is_first_counted,
                    ended: None,
                }
            }
            Some(_) | None => {
                let ended = last.take().and_then(|fold| fold.pending);
                *last = Some(Fold {
                    kind,
                    since: Instant::now(),
                    seen: 1,
                    recorded: outcome.request,
                    pending: None,
                });
                alone(ended)
            }
        }
    }

    /// What is to be told of the flood so far, once. Whatever follows begins anew.
    fn ended(&self) -> Option<Refused> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = last.as_ref().is_some_and(|fold| fold.since.elapsed() >= SECOND);
        if is_over {
            last.take().and_then(|fold| fold.pending)
        } else {
            None
        }
    }
}

impl Broker {
    /// Gives a refusal the name under which the audit trail tells more of it.
    pub(super) fn named(&self, outcome: &Outcome, refusal: Refusal) -> Refusal {
        if !refusal.is_decision() {
            return refusal;
        }
        // What the worker refused it has written down itself.
        let caller = outcome.caller.as_ref().filter(|_| !outcome.was_executed);
        let Some(caller) = caller else {
            return refusal.decided_as(outcome.request.to_string());
        };
        let Place {
            name,
            is_first_counted,
            ended,
        } = caller.folds().place(outcome, &refusal);
        if let Some(ended) = ended {
            self.channel.report(Report::Refused(ended));
        }
        if is_first_counted {
            tokio::spawn(tell_later(Arc::clone(caller), Arc::clone(&self.channel)));
        }
        refusal.decided_as(name.to_string())
    }
}

async fn tell_later(caller: Arc<Caller>, channel: Arc<Channel>) {
    tokio::time::sleep(SECOND).await;
    if let Some(ended) = caller.folds().ended() {
        channel.report(Report::Refused(ended));
    }
}
