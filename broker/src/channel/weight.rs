//! What answers weigh that no client has taken yet. Rate limits bound how much one caller asks for; this bounds what one of
//! them, and what all of them together, taking nothing, can make the broker hold.
//!
//! How long an answer becomes is known only when the worker has made it. So a call is not begun before its caller has room for
//! as much as it is likely to bring, and keeps as much of that room as it did bring until it is taken.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dbal_shared::limits::{ANSWER_BYTES, ROWS_PER_ANSWER};
use dbal_shared::plan::{Action, Include, Plan};

use super::lock;
use crate::admission::{Share, Shares};

/// Bytes of answers that may wait for their clients: thirty-two of the largest.
pub(super) const HELD_BYTES: usize = 256 * 1024 * 1024;

/// KiB of them that one caller may have waiting, or coming: an eighth of the whole, four of the largest.
const HELD_KIB_OF_ONE: u32 = 32 * 1024;
/// What a row is taken to weigh before any of its kind was seen, in bytes. Most weigh far less, and one answer tells.
const ROW_BYTES: u32 = 8 * 1024;
/// What is likely to bring no more than this needs no room, in bytes.
const SHORT_BYTES: u32 = 64 * 1024;
/// Kinds of rows that are remembered: entities times the ways in which clients look at them.
const KINDS: usize = 4_096;

/// The scale. One for the whole broker.
#[derive(Clone)]
pub(super) struct Scale {
    bytes: Arc<AtomicUsize>,
    callers: Arc<Shares>,
    /// What a row of an answer weighs, in bytes, by what was asked for.
    rows: Arc<Mutex<HashMap<Kind, u32>>>,
}

/// Hash of an entity, what is shown of it, and what comes along.
type Kind = u64;

impl Default for Scale {
    fn default() -> Self {
        Self {
            bytes: Arc::default(),
            callers: Shares::new(HELD_KIB_OF_ONE),
            rows: Arc::default(),
        }
    }
}

/// The weight of one answer, taken off the scale when dropped: once it is written.
pub struct Weight {
    scale: Scale,
    bytes: usize,
    /// Of what its caller may have waiting.
    share: Option<Share>,
}

impl Scale {
    /// What these plans are likely to bring.
    pub(super) fn expect(&self, plans: &[Plan]) -> Expected {
        let (mut bytes, mut kind) = (0_u32, None);
        let known = lock(&self.rows);
        for asked in plans.iter().filter_map(asked) {
            bytes = bytes.saturating_add(asked.likely(&known));
            kind = (plans.len() == 1).then_some(asked.kind);
        }
        let most = u32::try_from(ANSWER_BYTES).unwrap_or(u32::MAX);
        let kib = (bytes > SHORT_BYTES).then(|| bytes.min(most).div_ceil(1024));
        Expected { kib, kind }
    }

    /// Room for that, as soon as the caller takes what it asked for before.
    pub(super) async fn room(&self, caller: &Arc<str>, kib: u32) -> Share {
        self.callers.take(caller, kib).await
    }

    /// An answer to a plan of which this was expected had so many rows and bytes. What is heavier than was known counts at once, what is
    /// lighter in time.
    pub(super) fn learn(&self, expected: &Expected, rows: u64, bytes: usize) {
        let Some(kind) = expected.kind.filter(|_| rows > 0) else {
            return;
        };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(rows);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut known = lock(&self.rows);
        let before = known.get(&kind).copied().unwrap_or(bytes);
        let after = if bytes < before {
            before.saturating_sub(before.abs_diff(bytes).div_ceil(8))
        } else {
            bytes
        };
        if after == before && known.contains_key(&kind) {
            return;
        }
        if known.len() >= KINDS {
            known.clear();
        }
        known.insert(kind, after);
    }

    /// Puts an answer on the scale; none when it is too heavy by now.
    pub(super) fn hold(&self, bytes: usize) -> Option<Weight> {
        let weight = self.must_hold(bytes);
        (self.bytes.load(Ordering::Relaxed) <= HELD_BYTES).then_some(weight)
    }

    /// The same for answers that can't be given up: what a write did must be told.
    pub(super) fn must_hold(&self, bytes: usize) -> Weight {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Weight {
            scale: self.clone(),
            bytes,
            share: None,
        }
    }
}

impl Weight {
    /// The same, of what its caller made room for.
    pub(super) fn within(mut self, share: Option<Share>) -> Self {
        let kib = u32::try_from(self.bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.share = share;
        if let Some(share) = &mut self.share {
            share.keep(kib);
        }
        self
    }
}

/// What plans are likely to bring.
pub(super) struct Expected {
    /// In KiB; none where that is little.
    pub(super) kib: Option<u32>,
    /// What its rows are remembered as, of one plan; answers to several come in one piece.
    kind: Option<Kind>,
}

/// What a plan may bring.
struct Asked {
    kind: Kind,
    rows: u32,
    /// Rows that come along with each, and itself.
    beside: u32,
}

impl Asked {
    /// In bytes, by what rows of that kind have weighed.
    fn likely(&self, known: &HashMap<Kind, u32>) -> u32 {
        match known.get(&self.kind) {
            Some(bytes) => self.rows.saturating_mul(*bytes),
            None => self.rows.saturating_mul(self.beside).saturating_mul(ROW_BYTES),
        }
    }
}

/// None for what brings a number, or one row that the caller has just sent.
fn asked(plan: &Plan) -> Option<Asked> {
    let (rows, projection, includes): (u32, &[_], &[Include]) = match &plan.action {
        Action::List {
            page,
            projection,
            includes,
            ..
        } => (page.limit, projection, includes),
        Action::Read {
            projection, includes, ..
        }
        | Action::FindFirst {
            projection, includes, ..
        } => (1, projection, includes),
        Action::Aggregate { limit, groups, .. } => (*limit, groups, &[]),
        Action::Count { .. }
        | Action::Create { .. }
        | Action::CreateMany { .. }
        | Action::Update { .. }
        | Action::UpdateMany { .. }
        | Action::Delete { .. }
        | Action::DeleteMany { .. }
        | Action::Upsert { .. } => return None,
    };
    let mut hasher = DefaultHasher::new();
    (plan.entity.0, includes.len()).hash(&mut hasher);
    for column in projection {
        column.0.hash(&mut hasher);
    }
    Some(Asked {
        kind: hasher.finish(),
        rows: rows.min(ROWS_PER_ANSWER),
        beside: included(includes).saturating_add(1),
    })
}

/// How many rows these bring along with one. Their depth is bounded where they are read (`RELATION_DEPTH`).
fn included(includes: &[Include]) -> u32 {
    let each = includes.iter().map(|include| {
        let inner = included(&include.includes).saturating_add(1);
        include.limit.saturating_mul(inner)
    });
    each.fold(0, u32::saturating_add)
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.scale.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbal_shared::ids::EntityId;
    use dbal_shared::plan::{Page, Total};
    use dbal_shared::predicate::Predicate;
    use futures_util::FutureExt;

    fn list(limit: u32) -> [Plan; 1] {
        let action = Action::List {
            filter: Predicate::True,
            order: Vec::new(),
            page: Page { number: 1, limit },
            total: Total::Skipped,
            projection: Vec::new(),
            includes: Vec::new(),
            cursor: None,
        };
        [Plan {
            entity: EntityId(0),
            action,
        }]
    }

    #[tokio::test]
    async fn a_caller_who_takes_no_answers_begins_no_more_long_lists() {
        let scale = Scale::default();
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let room = |caller: &Arc<str>, limit| {
            let kib = scale.expect(&list(limit)).kib.expect("a long list");
            scale.room(caller, kib).now_or_never()
        };
        let mut answers = Vec::new();
        while let Some(share) = room(&alice, 1_000) {
            // As long as it was taken to be.
            answers.push(scale.must_hold(ANSWER_BYTES).within(Some(share)));
            assert!(answers.len() < 100, "no end");
        }
        assert_eq!(answers.len(), 4);
        assert_eq!(scale.expect(&list(8)).kib, None, "what is short goes on");
        assert!(room(&bob, 1_000).is_some());
        answers.pop();
        let share = room(&alice, 1_000);
        assert!(share.is_some());
        // One that turns out short makes room for the next.
        let short = scale.must_hold(1024).within(share);
        assert!(room(&alice, 900).is_some());
        drop((short, answers));
        assert_eq!(scale.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_an_answer_is_likely_to_weigh_is_learned_from_those_before() {
        let scale = Scale::default();
        let [plan] = list(1_000);
        let expected = scale.expect(std::slice::from_ref(&plan));
        let likely = |scale: &Scale| {
            let asked = asked(&plan).expect("rows");
            asked.likely(&lock(&scale.rows))
        };
        assert_eq!(likely(&scale), 1_000 * ROW_BYTES);
        scale.learn(&expected, 10, 1_000);
        assert_eq!(likely(&scale), 100_000);
        scale.learn(&expected, 10, 20_000);
        assert_eq!(likely(&scale), 2_000_000, "what is heavier counts at once");
        scale.learn(&expected, 0, 30);
        scale.learn(&expected, 10, 4_000);
        assert_eq!(likely(&scale), 1_800_000);
        for _ in 0..100 {
            scale.learn(&expected, 10, 1_000);
        }
        assert_eq!(likely(&scale), 100_000);
        for entity in 0..2 * u16::try_from(KINDS).unwrap() {
            let entity = EntityId(entity);
            let action = plan.action.clone();
            scale.learn(&scale.expect(&[Plan { entity, action }]), 1, 1);
        }
        assert!(lock(&scale.rows).len() <= KINDS);
    }

    #[test]
    fn answers_that_nobody_takes_are_bounded() {
        let scale = Scale::default();
        let first = scale.hold(HELD_BYTES);
        assert!(first.is_some());
        assert!(scale.hold(1).is_none());
        let written = scale.must_hold(1);
        drop(first);
        assert!(
            scale.hold(HELD_BYTES).is_none(),
            "the write's answer is still there"
        );
        drop(written);
        assert!(scale.hold(HELD_BYTES).is_some());
    }
}
