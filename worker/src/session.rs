//! Sessions of one channel: verified callers under handles that nobody can guess and no other channel may use.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dbal_policy::Subject;
use dbal_shared::ids::SessionHandle;
use dbal_shared::limits::SESSIONS;
use dbal_shared::principal::Principal;

use crate::database::queue::Lane;
use crate::opaque::Lookup;

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
    /// Whose turns the caller's calls count for.
    pub lane: Lane,
    /// When the proof ends.
    pub expires_at_ms: Option<i64>,
    /// What finds it again, if it is one that has to be looked up while it is open.
    pub lookup: Option<Lookup>,
}

/// What a handle means.
#[derive(Debug)]
pub enum Found {
    /// A caller.
    Live(Arc<Session>),
    /// A caller whose proof has ended.
    Expired,
    /// A caller whose proof should have been looked up again by now, and could not be.
    Unconfirmed,
    /// A session of this channel that is closed.
    Closed,
    /// Never given out here.
    NeverIssued,
}

/// How long what the database said of a session counts.
#[derive(Clone, Copy, Debug)]
struct Belief {
    due_ms: i64,
    until_ms: i64,
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
    /// When to look sessions up again: Unix milliseconds.
    due: BTreeSet<(i64, [u8; 32])>,
    /// When each of them is due, and until when what was looked up is believed: Unix milliseconds.
    believed: HashMap<SessionHandle, Belief>,
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
            due: BTreeSet::new(),
            believed: HashMap::new(),
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
            Some(_)
                if self
                    .believed
                    .get(&handle)
                    .is_some_and(|belief| belief.until_ms <= now_ms) =>
            {
                Found::Unconfirmed
            }
            Some(session) => Found::Live(Arc::clone(session)),
            None if self.closed.contains(&handle) => Found::Closed,
            None => Found::NeverIssued,
        }
    }

    /// The session was looked up, and is to be again after `recheck`. It is believed for twice as long: a look-up that the
    /// database is slow to answer holds nobody up, one that it does not answer does.
    pub fn confirm(&mut self, handle: SessionHandle, now_ms: i64, recheck: Duration) {
        let recheck_ms = i64::try_from(recheck.as_millis()).unwrap_or(i64::MAX);
        let due_ms = now_ms.saturating_add(recheck_ms);
        let until_ms = due_ms.saturating_add(recheck_ms);
        self.believe(handle, Belief { due_ms, until_ms });
    }

    /// The session could not be looked up; it is to be tried again at this time.
    pub fn try_again(&mut self, handle: SessionHandle, due_ms: i64) {
        if let Some(Belief { until_ms, .. }) = self.believed.get(&handle).copied() {
            self.believe(handle, Belief { due_ms, until_ms });
        }
    }

    fn believe(&mut self, handle: SessionHandle, belief: Belief) {
        if !self.live.contains_key(&handle) {
            return;
        }
        if let Some(before) = self.believed.insert(handle, belief) {
            self.due.remove(&(before.due_ms, handle.0));
        }
        self.due.insert((belief.due_ms, handle.0));
    }

    /// Sessions that are to be looked up again, at most `most` of them. Each is told once.
    pub fn take_due(&mut self, now_ms: i64, most: usize) -> Vec<(SessionHandle, Arc<Session>)> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((_, handle)) = self.due.first().copied().filter(|(at, _)| *at <= now_ms)
        {
            self.due.pop_first();
            let handle = SessionHandle(handle);
            if let Some(session) = self.live.get(&handle) {
                taken.push((handle, Arc::clone(session)));
            }
        }
        taken
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
        if let Some(belief) = self.believed.remove(&handle) {
            self.due.remove(&(belief.due_ms, handle.0));
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
            lane: Lane::of_nobody(""),
            principal: Principal::anonymous(),
            subject: fixture.subject(ALICE, "user"),
            remote: String::new(),
            expires_at_ms,
            lookup: None,
        }
    }

    #[test]
    fn a_session_that_can_not_be_looked_up_again_is_believed_for_a_while_and_then_not() {
        let fixture = Fixture::new();
        let mut sessions = Sessions::new(Arc::new(AtomicU32::new(0)));
        let handle = sessions.open(session(&fixture, None)).unwrap();
        sessions.confirm(handle, 0, Duration::from_millis(10));
        assert!(sessions.take_due(9, 8).is_empty());
        assert_eq!(sessions.take_due(10, 8).len(), 1);
        assert!(sessions.take_due(10, 8).is_empty(), "once");
        sessions.try_again(handle, 15);
        assert!(matches!(sessions.find(handle, 19), Found::Live(_)));
        assert!(matches!(sessions.find(handle, 20), Found::Unconfirmed));
        assert_eq!(sessions.take_due(20, 8).len(), 1);
        sessions.confirm(handle, 20, Duration::from_millis(10));
        assert!(matches!(sessions.find(handle, 20), Found::Live(_)));
        sessions.close(handle);
        assert!(sessions.take_due(i64::MAX, 8).is_empty());
        assert!(sessions.believed.is_empty() && sessions.due.is_empty());
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
