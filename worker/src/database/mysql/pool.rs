//! The connections: kept open, replaced when they fail or age, lent to calls.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::line::Line;
use super::observer::Kill;
use super::server::Server;
use crate::database::leasing::{Kind, Lease, Leasing};
use crate::database::postgres::pool::jittered;
use crate::job::{Control, Refusal};

/// How long a connection is kept, so that a server behind a name that moved is not kept for ever, nor what a session gathers.
const AGE: Duration = Duration::from_mins(30);
/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How long calls wait while there is no connection at all; then they are refused at once until there is one.
const PATIENCE: Duration = Duration::from_millis(500);

/// All connections for calls.
pub(super) struct Pool {
    pub(super) server: Rc<Server>,
    /// To whoever stops statements.
    pub(super) kills: UnboundedSender<Kill>,
    /// Connections that are at work.
    pub(super) active: Arc<AtomicU32>,
    leasing: Rc<Leasing<Line>>,
    /// Since when there is no connection and none to be had, and why.
    down: RefCell<Option<(Instant, String)>>,
    /// Whether the log has it that one is missing.
    is_told: Cell<bool>,
}

impl Pool {
    pub(super) fn new(server: Rc<Server>, kills: UnboundedSender<Kill>, active: Arc<AtomicU32>) -> Self {
        Self {
            server,
            kills,
            active,
            leasing: Leasing::new(),
            down: RefCell::default(),
            is_told: Cell::new(false),
        }
    }

    /// Waits for a connection, as long as the call's caller does and there is hope.
    pub(super) async fn lease(&self, kind: Kind, control: &Control) -> Result<Lease<Line>, Refusal> {
        self.leasing.lease(kind, control, || self.is_down()).await
    }

    /// One connection ended, or its server takes no writes any more: so it will be with those that have not answered since `then`.
    pub(super) fn suspect_all_since(&self, then: Instant) {
        self.leasing.let_go(|line| !line.has_answered_since(then));
    }

    /// Takes leave of the server.
    pub(super) fn close(&self) {
        self.leasing.let_go(|_| true);
    }

    /// Why there is no hope of a connection soon.
    fn is_down(&self) -> Option<Refusal> {
        if !self.leasing.is_empty() {
            return None;
        }
        let down = self.down.borrow();
        let (since, why) = down.as_ref()?;
        (since.elapsed() > PATIENCE).then(|| {
            let detail = format!("no connection to the database server: {why}");
            Refusal::new(Code::Unavailable, Advice::Retry, detail)
        })
    }

    /// Keeps one connection open until the task is dropped.
    pub(super) async fn keep(self: Rc<Self>) {
        let mut pause = FIRST_PAUSE;
        let mut first = 0;
        loop {
            match self.server.address.connect(first, Some(self.server.kind)).await {
                Ok(reached) => {
                    pause = FIRST_PAUSE;
                    self.down.replace(None);
                    self.is_told.set(false);
                    let (left, mut gone) = oneshot::channel();
                    let old = jittered(AGE);
                    self.leasing.add(Line::new(reached, old, left));
                    let next = tokio::select! {
                        next = &mut gone => next,
                        () = sleep(old) => {
                            // Whoever has it has it until he is done.
                            self.leasing.let_go(Line::is_old);
                            gone.await
                        }
                    };
                    first = next.unwrap_or(first);
                }
                Err(why) => {
                    let why = why.to_string();
                    if !self.is_told.replace(true) {
                        // Quoted: what a server says may have ends of lines in it, and none of them may begin a line of the log.
                        tracing::warn!(why, "no connection to the database server; trying on");
                    }
                    if self.leasing.is_empty() {
                        let mut down = self.down.borrow_mut();
                        let since = down.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                        *down = Some((since, why));
                    }
                    sleep(jittered(pause)).await;
                    pause = pause.saturating_mul(2).min(LAST_PAUSE);
                }
            }
        }
    }
}
