//! Long messages are worked on by a thread of their own, a few of each caller at once: who sends them waits for them, and those
//! who send little wait for neither.
//!
//! Everything that takes time with a message's length is done there: reading its JSON, making plans of it, deciding about each
//! row, writing its frame. What arrives is still taken off the socket by the connection's own task, a slice at a time
//! ([`super::intake`]).

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::admission::{Share, Shares};

/// A message above this length is long, in bytes. What is shorter is done with in well under a millisecond.
pub const LONG: usize = 64 * 1024;
/// Long messages of one caller that are worked on at once: while the worker has one, the next one is made ready.
const OF_ONE_CALLER: u32 = 2;

/// Where they are worked on. One for the whole broker.
pub struct LongMessages {
    thread: Handle,
    callers: Arc<Shares>,
}

/// The right to have one worked on; over when it is dropped.
pub struct Turn {
    thread: Handle,
    _share: Share,
}

impl LongMessages {
    /// To be worked on by this runtime.
    pub fn new(thread: Handle) -> Self {
        Self {
            thread,
            callers: Shares::new(OF_ONE_CALLER),
        }
    }

    /// Waits for the caller's turn. The thread does what is handed to it in order, and each caller hands it no more than two at a
    /// time; so callers take turns however many connections one of them has.
    pub async fn turn(&self, caller: &Arc<str>) -> Turn {
        Turn {
            _share: self.callers.take(caller, 1).await,
            thread: self.thread.clone(),
        }
    }
}

impl Turn {
    /// Has that thread do it; stops it when dropped. None only when the process ends.
    pub fn run<W>(&self, work: W) -> impl Future<Output = Option<W::Output>> + Send + use<W>
    where
        W: Future<Output: Send> + Send + 'static,
    {
        let mut task = Stopped(self.thread.spawn(work));
        async move { (&mut task.0).await.ok() }
    }
}

/// A task that nobody waits for any more ends.
struct Stopped<T>(JoinHandle<T>);

impl<T> Drop for Stopped<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
