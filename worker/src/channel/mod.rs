//! The Unix socket towards the broker: who may connect, and one conversation per connection.

mod calls;
mod conversation;
mod heads;
mod outbox;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dbal_daemon::local_stream::LocalStream;
use dbal_shared::message::{Health, Layer};
use dbal_sql::Places;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::ledger::Ledger;
use crate::rulebook::Rulebook;

/// Brokers at once. One is usual; a second while the first is replaced.
const CHANNELS: usize = 4;
/// What calls that were stopped get to say so, once the worker has drained for as long as it may.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to wait when the process has no descriptor left for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What all channels share.
pub struct Shared {
    /// Who everybody is and what they may do. Channels take up a new one before the next message.
    pub rulebook: watch::Sender<Arc<Rulebook>>,
    /// Reloads that failed.
    pub failed_reloads: AtomicU32,
    /// Where the rows are.
    pub database: Database,
    /// Where everything is written down.
    pub ledger: Arc<Ledger>,
    /// Where pages of lists end.
    pub cursors: Arc<dyn Places>,
    /// How long calls in flight may take once the worker drains.
    pub drain: Duration,
    /// Longest time of one statement.
    pub query_timeout: Duration,
    /// Layers of the sandbox, as the kernel tells of them.
    pub sandbox: Vec<Layer>,
    /// Sessions of all channels.
    pub sessions: Arc<AtomicU32>,
}

impl Shared {
    fn health(&self, sample: crate::database::sample::Sample) -> Health {
        let (expired_rows, expired_rows_held) = self.ledger.expired_rows();
        Health {
            is_connected: sample.is_connected,
            latency_us: u32::try_from(sample.latency.as_micros()).unwrap_or(u32::MAX),
            active_connections: self.database.active(),
            pool: self.database.pool(),
            queued: self.database.queued(),
            audit_lag: u32::try_from(self.ledger.lag()).unwrap_or(u32::MAX),
            sessions: self.sessions.load(Ordering::Relaxed),
            policy: self.rulebook.borrow().policy.hash(),
            failed_reloads: self.failed_reloads.load(Ordering::Relaxed),
            cache: self.database.cache().map(|cache| cache.sample()),
            expired_rows,
            expired_rows_held,
        }
    }
}

/// Accepts brokers until `drain` turns true, then lets calls in flight end.
pub async fn serve(
    listener: UnixListener,
    allowed: BTreeSet<u32>,
    shared: Arc<Shared>,
    mut drain: watch::Receiver<bool>,
) {
    let mut channels = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = drains(&mut drain) => break,
            Some(_) = channels.join_next(), if !channels.is_empty() => {}
            accepted = listener.accept(), if channels.len() < CHANNELS => match accepted {
                Ok((stream, _)) => match admitted(&stream, &allowed) {
                    Ok(()) => match LocalStream::new(stream) {
                        Ok(stream) => {
                            let (shared, drain) = (Arc::clone(&shared), drain.clone());
                            channels.spawn(conversation::hold(stream, shared, drain));
                        }
                        Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
                    },
                    Err(refused) => shared.ledger.protocol_incident(&refused.to_string()),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // Each channel keeps to the time itself, and stops what is in flight then; this is for one that hangs.
    let latest = shared.drain.saturating_add(FAREWELL);
    let drained = tokio::time::timeout(latest, async { while channels.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("a broker does not take its last answers; its calls end unanswered");
        channels.shutdown().await;
    }
}

/// Waits until the worker drains.
async fn drains(drain: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which only the end of the worker makes so.
    let _ = drain.wait_for(|drains| *drains).await;
}

/// Why a connection was closed at once.
#[derive(Debug, thiserror::Error)]
enum NotAdmitted {
    #[error("a connection from user {0}, who is not in `socket.allow_uid`")]
    Uid(u32),
    #[error("a connection whose user the kernel does not tell")]
    Unknown(#[source] io::Error),
}

/// `SO_PEERCRED` (unix(7)): the kernel tells who connected; the socket's mode alone would trust whoever can change it.
fn admitted(stream: &UnixStream, allowed: &BTreeSet<u32>) -> Result<(), NotAdmitted> {
    let peer = stream.peer_cred().map_err(NotAdmitted::Unknown)?;
    if allowed.contains(&peer.uid()) {
        Ok(())
    } else {
        Err(NotAdmitted::Uid(peer.uid()))
    }
}
