//! Sessions of one channel: verified callers under handles that nobody can guess and no other channel may use.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dbal_policy::Subject;
use dbal_shared::ids::SessionHandle;
use dbal_shared::limits::SESSIONS;
use dbal_shared::principal::Principal;

/// How long a channel remembers that a handle was its own. Plans that were sent before the broker heard of the end are
/// answered "open it again" for that long; honest ones arrive within a round trip.
const MEMORY: Duration = Duration::from_mins(1);

/// A verified caller.
#[derive(Debug)]
pub struct Session {
    /// Who it is.
    pub principal: Principal,
    /// The same as the policy sees it.
    pub subject: Subject,
    /// The caller's address, as the broker says.
    pub remote: String,
    /// When the proof ends.
    pub expires_at_ms: Option<i64>,
}

/// What a handle means.
#[derive(Debug)]
pub enum Found {
    /// A caller.
    Live(Arc<Session>),
    /// A caller whose proof has ended.
    Expired,
    /// A session of this channel that is closed.
    Closed,
    /// Never given out here.
    NeverIssued,
}

/// Why no session can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// There are as many as the worker keeps.
    #[error("{SESSIONS} sessions are open")]
    TooMany,
    /// No handle can be made that nobody could guess.
    #[error("the kernel gives no randomness")]
    NoRandomness,
}

/// All sessions of one channel.
#[derive(Debug)]
pub struct Sessions {
    live: HashMap<SessionHandle, Arc<Session>>,
    ends: BTreeSet<(i64, [u8; 32])>,
    closed: HashSet<SessionHandle>,
    closed_since: VecDeque<(Instant, SessionHandle)>,
    /// Of all channels.
    open: Arc<AtomicU32>,
}

impl Sessions {
    /// None yet. `open` counts the sessions of all channels.
    pub fn new(open: Arc<AtomicU32>) -> Self {
        Self {
            live: HashMap::new(),
            ends: BTreeSet::new(),
            closed: HashSet::new(),
            closed_since: VecDeque::new(),
            open,
        }
    }

    /// Keeps a session under a new handle.
    pub fn open(&mut self, session: Session) -> Result<SessionHandle, Full> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let is_full = usize::try_from(before).map_or(true, |before| before >= SESSIONS);
        let mut handle = [0; 32];
        let made = if is_full {
            Err(Full::TooMany)
        } else {
            getrandom::fill(&mut handle).map_err(|_| Full::NoRandomness)
        };
        if let Err(full) = made {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(full);
        }
        if let Some(end) = session.expires_at_ms {
            self.ends.insert((end, handle));
        }
        self.live.insert(SessionHandle(handle), Arc::new(session));
        Ok(SessionHandle(handle))
    }

    /// Who bears this handle at this time?
    pub fn find(&self, handle: SessionHandle, now_ms: i64) -> Found {
        match self.live.get(&handle) {
            Some(session) if session.expires_at_ms.is_some_and(|end| end <= now_ms) => Found::Expired,
            Some(session) => Found::Live(Arc::clone(session)),
            None if self.closed.contains(&handle) => Found::Closed,
            None => Found::NeverIssued,
        }
    }

    /// Ends a session, if there is one.
    pub fn close(&mut self, handle: SessionHandle) {
        let Some(session) = self.live.remove(&handle) else {
            return;
        };
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(end) = session.expires_at_ms {
            self.ends.remove(&(end, handle.0));
        }
        self.closed.insert(handle);
        self.closed_since.push_back((Instant::now(), handle));
        self.forget();
    }

    /// Ends all of them: what they were opened under no longer holds.
    pub fn close_all(&mut self) -> Vec<SessionHandle> {
        let ended: Vec<SessionHandle> = self.live.keys().copied().collect();
        for handle in &ended {
            self.close(*handle);
        }
        ended
    }

    /// Ends every session whose proof has ended, at most `most` at once.
    pub fn expire(&mut self, now_ms: i64, most: usize) -> Vec<SessionHandle> {
        self.forget();
        let ended: Vec<SessionHandle> = self
            .ends
            .iter()
            .take_while(|(end, _)| *end <= now_ms)
            .take(most)
            .map(|(_, handle)| SessionHandle(*handle))
            .collect();
        for handle in &ended {
            self.close(*handle);
        }
        ended
    }

    fn forget(&mut self) {
        while let Some((since, handle)) = self.closed_since.front().copied() {
            if self.closed_since.len() <= SESSIONS && since.elapsed() < MEMORY {
                break;
            }
            self.closed_since.pop_front();
            self.closed.remove(&handle);
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        let count = u32::try_from(self.live.len()).unwrap_or(u32::MAX);
        self.open.fetch_sub(count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{ALICE, Fixture};

    fn session(fixture: &Fixture, expires_at_ms: Option<i64>) -> Session {
        Session {
            principal: Principal::anonymous(),
            subject: fixture.subject(ALICE, "user"),
            remote: String::new(),
            expires_at_ms,
        }
    }

    #[test]
    fn a_handle_is_live_until_its_proof_ends_or_it_is_closed() {
        let fixture = Fixture::new();
        let mut sessions = Sessions::new(Arc::new(AtomicU32::new(0)));
        let ending = sessions.open(session(&fixture, Some(100))).unwrap();
        let lasting = sessions.open(session(&fixture, None)).unwrap();
        assert!(matches!(sessions.find(ending, 99), Found::Live(_)));
        assert!(matches!(sessions.find(ending, 100), Found::Expired));
        assert!(sessions.expire(99, 10).is_empty());
        assert_eq!(sessions.expire(100, 10), [ending]);
        assert!(matches!(sessions.find(ending, 100), Found::Closed));
        sessions.close(lasting);
        assert!(matches!(sessions.find(lasting, 0), Found::Closed));
        assert!(matches!(
            sessions.find(SessionHandle([0; 32]), 0),
            Found::NeverIssued
        ));
    }

    #[test]
    fn sessions_that_end_together_are_remembered_as_ours() {
        let fixture = Fixture::new();
        let open = Arc::new(AtomicU32::new(0));
        let mut sessions = Sessions::new(Arc::clone(&open));
        let first = sessions.open(session(&fixture, Some(100))).unwrap();
        let second = sessions.open(session(&fixture, None)).unwrap();
        assert_eq!(sessions.close_all().len(), 2);
        for handle in [first, second] {
            assert!(matches!(sessions.find(handle, 0), Found::Closed));
        }
        assert_eq!(open.load(Ordering::Relaxed), 0);
        assert!(sessions.expire(100, 10).is_empty());
    }

    #[test]
    fn sessions_of_all_channels_are_bounded_together() {
        let fixture = Fixture::new();
        let open = Arc::new(AtomicU32::new(u32::try_from(SESSIONS).unwrap().saturating_sub(1)));
        let mut first = Sessions::new(Arc::clone(&open));
        let mut second = Sessions::new(Arc::clone(&open));
        assert!(first.open(session(&fixture, None)).is_ok());
        assert_eq!(second.open(session(&fixture, None)), Err(Full::TooMany));
        drop(first);
        assert!(second.open(session(&fixture, None)).is_ok());
    }
}
