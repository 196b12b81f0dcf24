//! Answers by what was asked, within a bound in bytes: the longest unused make room.

use std::time::Instant;

use dbal_shared::ids::Digest;
use dbal_shared::message::Reply;
use hashlink::LruCache;

use super::changes::Stamp;

/// What an entry takes beside its text: key, value and links of the list's node, its place in the table at the lowest load, and what
/// the allocator rounds up. Measured: `what_is_counted_is_no_less_than_what_is_taken`.
const ENTRY_BYTES: usize = 256;
/// An answer that takes more than this part of the whole is not kept: it would push out too many.
const LARGEST_PART: usize = 8;

/// An answer that is kept.
pub(super) struct Kept {
    json: Box<str>,
    rows: u64,
    pub(super) stamp: Stamp,
    pub(super) until: Instant,
}

impl Kept {
    pub(super) fn new(reply: &Reply, stamp: Stamp, until: Instant) -> Self {
        Self {
            json: reply.json.as_str().into(),
            rows: reply.rows,
            stamp,
            until,
        }
    }

    /// The answer, which took the database no time.
    pub(super) fn reply(&self) -> Reply {
        Reply {
            json: self.json.as_ref().to_owned(),
            rows: self.rows,
            database_us: 0,
        }
    }

    fn bytes(&self) -> usize {
        bytes(self.json.len())
    }
}

/// What an answer of so many bytes of JSON takes.
fn bytes(json: usize) -> usize {
    json.saturating_add(ENTRY_BYTES)
}

/// All of them.
pub(super) struct Answers {
    by_question: LruCache<Digest, Kept>,
    bytes: usize,
    most: usize,
}

impl Answers {
    /// None yet, and never more than so many bytes.
    pub(super) fn within(most: usize) -> Self {
        Self {
            by_question: LruCache::new_unbounded(),
            bytes: 0,
            most,
        }
    }

    /// The answer to a question, which is used by that.
    pub(super) fn find(&mut self, question: &Digest) -> Option<&Kept> {
        self.by_question.get(question)
    }

    /// Whether an answer of so many bytes of JSON may be kept at all.
    pub(super) fn takes(&self, json: usize) -> bool {
        bytes(json) <= self.most.div_euclid(LARGEST_PART)
    }

    /// Keeps an answer; how many others had to go for it.
    pub(super) fn put(&mut self, question: Digest, kept: Kept) -> u64 {
        self.remove(&question);
        let more = kept.bytes();
        let mut evicted: u64 = 0;
        while self.bytes.saturating_add(more) > self.most {
            let Some((_, old)) = self.by_question.remove_lru() else {
                // Nothing is left that could make room.
                return evicted;
            };
            self.bytes = self.bytes.saturating_sub(old.bytes());
            evicted = evicted.saturating_add(1);
        }
        self.bytes = self.bytes.saturating_add(more);
        self.by_question.insert(question, kept);
        evicted
    }

    /// Lets go of an answer.
    pub(super) fn remove(&mut self, question: &Digest) {
        if let Some(old) = self.by_question.remove(question) {
            self.bytes = self.bytes.saturating_sub(old.bytes());
        }
    }

    /// Lets go of all, and of the memory.
    pub(super) fn clear(&mut self) {
        self.by_question = LruCache::new_unbounded();
        self.bytes = 0;
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_question.len()
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::changes::{Changes, later};

    fn kept(json: usize) -> Kept {
        let reply = Reply {
            json: "x".repeat(json),
            rows: 1,
            database_us: 7,
        };
        let stamp = Changes::new(0).stamp(&[]).unwrap();
        Kept::new(&reply, stamp, later(Instant::now(), Duration::from_mins(1)))
    }

    fn question(nth: usize) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&nth.to_le_bytes());
        Digest(bytes)
    }

    /// What the allocator has given out. Linux only, as the daemons are.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = status.split_whitespace().nth(1).unwrap().parse().unwrap();
        pages.saturating_mul(4_096)
    }

    #[test]
    fn the_longest_unused_make_room_and_the_bound_is_never_passed() {
        let mut answers = Answers::within(10 * bytes(100));
        for nth in 0..10 {
            assert_eq!(answers.put(question(nth), kept(100)), 0);
        }
        assert_eq!(answers.bytes(), 10 * bytes(100));
        assert!(answers.find(&question(0)).is_some(), "used");
        assert_eq!(answers.put(question(10), kept(100)), 1);
        assert!(answers.find(&question(1)).is_none() && answers.find(&question(0)).is_some());
        assert_eq!((answers.len(), answers.bytes()), (10, 10 * bytes(100)));
        // The same question again takes its own place.
        assert_eq!(answers.put(question(10), kept(50)), 0);
        assert_eq!((answers.len(), answers.bytes()), (10, 9 * bytes(100) + bytes(50)));
        assert_eq!(answers.put(question(11), kept(250)), 2);
        assert!(answers.bytes() <= 10 * bytes(100));
        answers.clear();
        assert_eq!((answers.len(), answers.bytes()), (0, 0));
        assert!(
            !answers.takes(10 * bytes(100)) && answers.takes(10 * bytes(100) / LARGEST_PART - ENTRY_BYTES)
        );
    }

    /// In a process of its own: what others take at the same time is not ours.
    #[test]
    fn what_is_counted_is_no_less_than_what_is_taken() {
        const ALONE: &str = "DBAL_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let name = "cache::kept::tests::what_is_counted_is_no_less_than_what_is_taken";
            #[expect(
                clippy::disallowed_methods,
                reason = "the worker starts no process; this test does"
            )]
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            let said = alone.args([name, "--exact"]).env(ALONE, "1").output().unwrap();
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.contains("1 passed"), "{said}");
            return;
        }
        let before = resident();
        let mut answers = Answers::within(64 * 1024 * 1024);
        for nth in 0..100_000 {
            answers.put(question(nth), kept(40));
        }
        let taken = resident().saturating_sub(before);
        assert!(taken <= answers.bytes(), "{taken} {}", answers.bytes());
        assert_eq!(answers.len(), 100_000);
    }
}
