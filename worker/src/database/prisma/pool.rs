//! Connections to the bridge: kept while they are fresh, made anew when none is; and places for so many calls at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use hyper::body::Bytes;

use super::endpoint::{ConnectError, Endpoint};
use super::exchange::{Answered, Failed, Line};
use crate::database::leasing::{Kind, Lease, Leasing, Lent};
use crate::job::{Control, Refusal};

/// How long calls are sent although nobody answers; then they are refused at once until somebody does.
const PATIENCE: Duration = Duration::from_millis(500);

/// All connections.
pub(super) struct Pool {
    endpoint: Endpoint,
    idle: RefCell<Vec<Line>>,
    /// Since when the bridge does not answer, and why.
    trouble: RefCell<Option<(Instant, String)>>,
    active: Arc<AtomicU32>,
    places: Rc<Leasing<Place>>,
}

/// The right to ask one thing at a time.
pub(super) struct Place;

impl Lent for Place {
    fn is_fit(&self) -> bool {
        true
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// Nothing was sent.
    #[error("{}", dbal_daemon::causes(.0))]
    NotReached(#[from] ConnectError),
    /// It may have been read.
    #[error("{0}")]
    Failed(#[from] Failed),
    /// It can't be written.
    #[error("the request can't be written: {0}")]
    Request(#[from] hyper::http::Error),
}

/// A request that is under way, as the health check counts it.
struct Active<'a>(&'a AtomicU32);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(endpoint: Endpoint, size: u32, active: Arc<AtomicU32>) -> Self {
        let places = Leasing::new();
        (0..size).for_each(|_| places.add(Place));
        Self {
            endpoint,
            idle: RefCell::default(),
            trouble: RefCell::default(),
            active,
            places,
        }
    }

    /// Waits for a place, as long as the call's caller does and there is hope.
    pub(super) async fn lease(&self, kind: Kind, control: &Control) -> Result<Lease<Place>, Refusal> {
        self.places.lease(kind, control, || self.is_down()).await
    }

    /// Sends a request and waits for its answer. Dropped, it closes the connection: nobody else gets the answer.
    pub(super) async fn ask(&self, body: Vec<u8>) -> Result<Answered, NoAnswer> {
        self.active.fetch_add(1, Ordering::Relaxed);
        let _active = Active(&self.active);
        let body = Bytes::from(body);
        let kept = {
            let mut idle = self.idle.borrow_mut();
            idle.retain(Line::is_fresh);
            idle.pop()
        };
        if let Some(mut line) = kept {
            match line.exchange(self.endpoint.request(body.clone())?).await {
                // It ended meanwhile.
                Err(Failed::NotSent(_)) => {}
                answered => return self.answered(line, answered),
            }
        }
        let mut line = self.endpoint.connect().await?;
        let answered = line.exchange(self.endpoint.request(body)?).await;
        self.answered(line, answered)
    }

    fn answered(&self, line: Line, answered: Result<Answered, Failed>) -> Result<Answered, NoAnswer> {
        let answered = answered?;
        // Whoever answers a call is not away, whenever the observer asks next.
        if answered.status == 200 {
            self.note(None);
        }
        self.idle.borrow_mut().push(line);
        Ok(answered)
    }

    /// The bridge and its database answer, or else why not.
    pub(super) fn note(&self, trouble: Option<String>) {
        let mut noted = self.trouble.borrow_mut();
        match (trouble, noted.as_mut()) {
            (None, Some(_)) => {
                tracing::info!("the bridge answers again");
                *noted = None;
            }
            (None, None) => {}
            (Some(why), Some((_, last))) => *last = why,
            (Some(why), None) => {
                tracing::error!(error = why, "the bridge does not answer as it should; trying on");
                *noted = Some((Instant::now(), why));
            }
        }
    }

    /// Why there is no hope of an answer soon.
    pub(super) fn is_down(&self) -> Option<Refusal> {
        let trouble = self.trouble.borrow();
        let (since, why) = trouble.as_ref()?;
        (since.elapsed() > PATIENCE)
            .then(|| Refusal::new(Code::Unavailable, Advice::Retry, format!("the bridge: {why}")))
    }
}
