//! What is heard of writes by other daemons. On PostgreSQL each write tells of itself in its own transaction, and a connection listens;
//! elsewhere nothing is heard, and what others write is seen once an answer is as old as it may be.

use std::time::{Duration, Instant};

use dbal_shared::ids::{Digest, EntityId};

use super::changes::later;
use super::{Cache, Reach};
use crate::job::What;

/// Where PostgreSQL passes on what was written.
pub const CHANNEL: &str = "dbal_cache";
/// Characters of the schema's digest that go along: daemons with other entities mean others by the same numbers.
const SCHEMA_LETTERS: usize = 16;
/// Most entities that one message names; more are told as all.
const NAMED: usize = 256;

/// What is known of writes by other daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// The database tells of them.
    AreHeard,
    /// They are seen when an answer's time is over: as the operator has written.
    WithinTtl,
}

pub(super) enum Hearing {
    /// Until then nothing that others wrote was missed.
    Until(Instant),
    /// Something may have been.
    Deaf,
    /// Nothing is listened for.
    NotNeeded,
}

impl Hearing {
    pub(super) fn new(others: Others) -> Self {
        match others {
            Others::AreHeard => Hearing::Deaf,
            Others::WithinTtl => Hearing::NotNeeded,
        }
    }

    pub(super) fn hears(&self, now: Instant) -> bool {
        match self {
            Hearing::Until(until) => now < *until,
            Hearing::Deaf => false,
            Hearing::NotNeeded => true,
        }
    }
}

impl Cache {
    /// Nothing that others wrote was missed, for so long after this moment. What was kept before somebody began to listen is let go of.
    pub fn hears(&self, at: Instant, span: Duration) {
        let mut state = self.state();
        let until = later(at, span);
        match state.hearing {
            Hearing::NotNeeded => return,
            Hearing::Until(_) => {}
            Hearing::Deaf => {
                state.empty();
                tracing::info!("answers are kept: what other daemons write is heard");
            }
        }
        state.hearing = Hearing::Until(until);
    }

    /// What others write may be missed from now on: nothing is kept until it is heard again.
    pub fn misses(&self, why: &str) {
        let mut state = self.state();
        match state.hearing {
            Hearing::NotNeeded | Hearing::Deaf => {}
            Hearing::Until(_) => {
                state.hearing = Hearing::Deaf;
                state.empty();
                tracing::warn!(why, "no answers are kept: what other daemons write is not heard");
            }
        }
    }

    /// Somebody has told of a write. What can't be read may mean anything.
    pub fn heard(&self, message: &str) {
        let reach = read(message, self.effects().schema()).unwrap_or(Reach::Any);
        self.state().invalidate(&reach);
    }
}

impl super::Effects {
    /// What a task that writes is to tell others when it is committed; nothing where no answer is kept of what it may change.
    pub fn message(&self, what: &What) -> Option<String> {
        match self.reach(what) {
            Reach::Some(ids) if ids.is_empty() => None,
            Reach::Some(ids) if ids.len() <= NAMED => {
                let ids: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
                Some(format!("{}:{}", short(self.schema()), ids.join(",")))
            }
            Reach::Some(_) | Reach::Any => Some(String::new()),
        }
    }
}

fn short(schema: Digest) -> String {
    let mut text = schema.to_string();
    text.truncate(SCHEMA_LETTERS);
    text
}

fn read(message: &str, schema: Digest) -> Option<Reach> {
    let (of, ids) = message.split_once(':')?;
    if of != short(schema) {
        return None;
    }
    let ids: Result<Vec<EntityId>, _> = ids.split(',').map(|id| id.parse().map(EntityId)).collect();
    ids.ok().map(Reach::Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_by_a_daemon_with_the_same_entities_means_everything() {
        let schema = Digest([0x5a; 32]);
        let ours = short(schema);
        assert_eq!(
            read(&format!("{ours}:0,7"), schema),
            Some(Reach::Some(vec![EntityId(0), EntityId(7)]))
        );
        for strange in [
            String::new(),
            "*".to_owned(),
            ours.clone(),
            format!("{ours}:"),
            format!("{ours}:1,"),
            format!("{ours}:70000"),
            format!("{ours}:-1"),
            format!("{ours}:1;2"),
            "5b5b5b5b5b5b5b5b:1".to_owned(),
        ] {
            assert_eq!(read(&strange, schema), None, "{strange}");
        }
    }
}
