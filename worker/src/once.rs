//! A write that its caller has named, so that it is done once however often it is asked for: whose name it is, and for
//! what. Both are digests, so that the table of answers tells its reader neither.

use std::sync::atomic::{AtomicBool, Ordering};

use dbal_policy::Grant;
use dbal_shared::codec::{self, Wire};
use dbal_shared::limits::{IDEMPOTENCY_KEY_BYTES, IDEMPOTENCY_MS, IDEMPOTENT_ANSWER_BYTES};
use dbal_shared::message::Isolation;
use dbal_shared::plan::Plan;
use dbal_shared::principal::Principal;
use sha2::{Digest as _, Sha256};

/// A named write.
#[derive(Debug)]
pub struct Once {
    key: String,
    request: String,
    now_ms: i64,
    keep_ms: i64,
    most_answer: usize,
    was_done_before: AtomicBool,
}

/// What is asked for, and by which rights: every wanted plan and every grant of this process's own. An answer is given
/// again only for the same of both, so a caller who has lost a right, or sees less than then, gets nothing out of the past.
pub struct Request {
    digest: Sha256,
    /// Bytes of the wanted plans.
    length: usize,
}

impl Request {
    /// Nothing yet.
    pub fn new(isolation: Isolation) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"dbal request 1\0");
        absorb(&isolation, &mut digest);
        Self { digest, length: 0 }
    }

    /// One more plan.
    pub fn add(&mut self, plan: &Plan) {
        let length = absorb(plan, &mut self.digest);
        self.length = self.length.saturating_add(length);
    }

    /// One more grant.
    pub fn granted(&mut self, grant: &Grant) {
        self.digest.update(grant.digest().0);
    }
}

impl Once {
    /// A write of this caller's. Names of callers who proved nothing would be everybody's: there are none.
    pub fn new(
        name: &str,
        principal: &Principal,
        request: Request,
        now_ms: i64,
    ) -> Result<Self, &'static str> {
        if name.is_empty() || name.len() > IDEMPOTENCY_KEY_BYTES {
            return Err("an idempotency key of no length or too much");
        }
        if principal.id.is_none() {
            return Err("an idempotency key of a caller without identity");
        }
        let mut key = Sha256::new();
        key.update(b"dbal idempotency 1\0");
        absorb(&principal.tenant, &mut key);
        absorb(&principal.id, &mut key);
        absorb(&name.to_owned(), &mut key);
        Ok(Self {
            key: hexadecimal(key),
            request: hexadecimal(request.digest),
            now_ms,
            keep_ms: IDEMPOTENCY_MS,
            // JSON writes a character that it escapes, or three bytes, with more than they came in; hardly ever with twice as many.
            most_answer: request
                .length
                .saturating_mul(2)
                .saturating_add(IDEMPOTENT_ANSWER_BYTES),
            was_done_before: AtomicBool::new(false),
        })
    }

    /// The same, where answers are kept for another time than usual.
    #[must_use]
    pub fn kept_for(self, keep_ms: i64) -> Self {
        Self { keep_ms, ..self }
    }

    /// Whose it is and how they call it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is asked for.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// When it is asked for: Unix time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Answers that were kept before this are kept no longer.
    pub fn kept_since_ms(&self) -> i64 {
        self.now_ms.saturating_sub(self.keep_ms)
    }

    /// Longest answer that is kept, in bytes.
    pub fn most_answer(&self) -> usize {
        self.most_answer
    }

    /// Notes whether the last try found that it was done.
    pub fn note(&self, was_done_before: bool) {
        self.was_done_before.store(was_done_before, Ordering::Relaxed);
    }

    /// Whether the last try found that it was done.
    pub fn was_done_before(&self) -> bool {
        self.was_done_before.load(Ordering::Relaxed)
    }
}

/// The channel's own encoding tells where each part ends, so that no two lists of parts look alike. Returns the part's length.
fn absorb(part: &impl Wire, digest: &mut Sha256) -> usize {
    let mut bytes = Vec::new();
    // What came through the channel can be encoded for it; if not, the same can't be asked for twice.
    if codec::encode(part, &mut bytes).is_err() {
        bytes.clear();
    }
    digest.update(&bytes);
    bytes.len()
}

fn hexadecimal(digest: Sha256) -> String {
    dbal_shared::ids::Digest(digest.finalize().into()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: Option<&str>, id: &str, name: &str) -> String {
        let principal = Principal {
            id: Some(id.to_owned()),
            tenant: tenant.map(str::to_owned),
            ..Principal::default()
        };
        let request = Request::new(Isolation::default());
        Once::new(name, &principal, request, 0).unwrap().key().to_owned()
    }

    #[test]
    fn a_name_is_its_callers_own() {
        let keys = [
            key(None, "alice", "k"),
            key(None, "bob", "k"),
            key(Some("t"), "alice", "k"),
            key(None, "alice", "l"),
            key(None, "alic", "ek"),
            key(Some("alice"), "k", "x"),
        ];
        for (nth, one) in keys.iter().enumerate() {
            assert_eq!(one.len(), 64);
            assert!(!keys[..nth].contains(one), "{nth}");
        }
        assert_eq!(key(None, "alice", "k"), keys[0]);
        let nobody = Once::new(
            "k",
            &Principal::anonymous(),
            Request::new(Isolation::default()),
            0,
        );
        assert!(nobody.is_err());
    }
}
