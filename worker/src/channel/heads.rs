//! Which heads of the audit trail one broker was shown, and which of them it may still countersign.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dbal_shared::message::Head;

use crate::ledger::Ledger;

/// Time from one head to the next. What may be cut off the end unseen is what came since the last one; each costs a record.
const PAUSE: Duration = Duration::from_secs(5);
/// Heads that may wait for their countersignature. A broker without a key answers none of them.
const WAITING: usize = 16;

/// What one broker was shown.
#[derive(Debug, Default)]
pub(super) struct Heads {
    last: Option<(Head, Instant)>,
    waiting: VecDeque<Head>,
}

impl Heads {
    /// The head to show, if there is one and it is time.
    pub(super) fn next(&self, ledger: &Ledger) -> Option<Head> {
        let is_due = self.last.is_none_or(|(_, at)| at.elapsed() >= PAUSE);
        let shown = self.last.map_or(0, |(head, _)| head.sequence);
        ledger.head_beyond(shown).filter(|_| is_due)
    }

    /// Notes that it was shown.
    pub(super) fn shown(&mut self, head: Head) {
        self.last = Some((head, Instant::now()));
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(head);
    }

    /// Takes a head that is countersigned, and those before it; false if it was not shown, or is countersigned already.
    pub(super) fn take(&mut self, head: &Head) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| waiting == head) else {
            return false;
        };
        self.waiting.drain(..=at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbal_shared::ids::Digest;

    fn head(sequence: u64) -> Head {
        Head {
            sequence,
            hash: Digest([1; 32]),
        }
    }

    #[test]
    fn a_head_is_countersigned_once_and_only_if_it_was_shown() {
        let mut heads = Heads::default();
        for sequence in 1..=20 {
            heads.shown(head(sequence));
        }
        assert!(!heads.take(&head(4)), "too long ago");
        assert!(!heads.take(&head(21)));
        let other = Head {
            hash: Digest([2; 32]),
            ..head(7)
        };
        assert!(!heads.take(&other));
        assert!(heads.take(&head(7)));
        assert!(!heads.take(&head(7)), "twice");
        assert!(!heads.take(&head(6)), "the ones before it");
        assert!(heads.take(&head(20)));
        assert!(heads.waiting.is_empty());
    }
}
