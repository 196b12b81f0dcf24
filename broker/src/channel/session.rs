//! A caller's session: the worker's verdict on a proof, and the link on which it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dbal_shared::ids::SessionHandle;
use dbal_shared::message::{SessionOpened, ToWorker};
use dbal_shared::principal::Principal;

use super::link::Link;

/// Proof that the worker knows who this is. Made only from the worker's answer; closed at the worker when dropped.
pub struct Session {
    link: Arc<Link>,
    handle: SessionHandle,
    principal: Principal,
    expires_at_ms: Option<i64>,
    ended: Arc<Ended>,
}

/// Set when the worker ends a session before its time.
#[derive(Default)]
pub(super) struct Ended {
    is_ended: AtomicBool,
}

impl Ended {
    pub(super) fn set(&self) {
        self.is_ended.store(true, Ordering::Release);
    }
}

impl Session {
    pub(super) fn new(link: Arc<Link>, opened: SessionOpened, ended: Arc<Ended>) -> Self {
        let SessionOpened {
            call: _,
            session,
            principal,
            expires_at_ms,
        } = opened;
        Self {
            link,
            handle: session,
            principal,
            expires_at_ms,
            ended,
        }
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// When the proof ends: Unix time in milliseconds.
    pub fn expires_at_ms(&self) -> Option<i64> {
        self.expires_at_ms
    }

    /// Its name at the worker.
    pub fn handle(&self) -> SessionHandle {
        self.handle
    }

    /// Whether its worker is still there.
    pub fn is_reachable(&self) -> bool {
        self.link.is_open()
    }

    /// Whether the worker ended it.
    pub fn is_ended(&self) -> bool {
        self.ended.is_ended.load(Ordering::Acquire)
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.link.forget_session(self.handle);
        // Where there is no room or no worker any more, the worker forgets the session by itself.
        let _ = self.link.tell(&ToWorker::CloseSession(self.handle));
    }
}
