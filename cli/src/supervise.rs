//! Starts worker and broker, starts again the one that dies, and ends both in order. Holds no secret: descriptors pass through it unread.

mod daemon;
mod keeper;

use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::error::ToolError;
use crate::output;
use keeper::{Keeper, Order};

pub(crate) use daemon::{Daemon, Prints, beside, close_inherited};

/// How long a daemon may take until it serves; a start takes well under a second.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long the broker may drain: the longest call (29 s) and a little.
const BROKER_DRAINS_WITHIN: Duration = Duration::from_secs(32);
/// How long the worker may drain: as long, though nobody is left who asks.
const WORKER_DRAINS_WITHIN: Duration = Duration::from_secs(32);

/// Where the broker serves, as it says itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Serving {
    /// For clients.
    pub(crate) listen: String,
    /// For operators, if configured.
    pub(crate) admin: Option<String>,
}

/// Both daemons, serving.
#[derive(Debug)]
pub(crate) struct Pair {
    worker: Keeper,
    broker: Keeper,
    /// The socket between them, to be removed at the end: the worker, locked in, can't write the folder it lies in.
    socket: Option<PathBuf>,
    /// Where the broker serves.
    pub(crate) serving: Serving,
}

/// Where the worker serves, as it says itself; no path for an inherited socket, which is its maker's to remove.
#[derive(Debug, Deserialize)]
struct WorkerServing {
    socket: Option<PathBuf>,
}

impl Pair {
    /// Starts the worker, then the broker; returns when both serve. Dropped before that, both are killed.
    pub(crate) async fn start(worker: Daemon, broker: Daemon) -> Result<Self, ToolError> {
        let (mut worker, ready) = Keeper::start(worker, READY_WITHIN).await?;
        let socket = serde_json::from_str::<WorkerServing>(&ready)
            .ok()
            .and_then(|serving| serving.socket);
        let (broker, ready) = match Keeper::start(broker, READY_WITHIN).await {
            Ok(started) => started,
            Err(error) => {
                worker.end(WORKER_DRAINS_WITHIN).await;
                return Err(error);
            }
        };
        let serving = serde_json::from_str(&ready).map_err(|error| {
            ToolError::Failed(format!("the broker's ready line is not understood: {error}"))
        })?;
        Ok(Self {
            worker,
            broker,
            socket,
            serving,
        })
    }

    /// Keeps both running until `signals` say to end; then the broker drains first, since its calls need the worker.
    pub(crate) async fn keep(self, mut signals: Signals) {
        let Self {
            mut worker,
            mut broker,
            socket,
            serving: _,
        } = self;
        let (to_worker, mut worker_orders) = mpsc::channel(4);
        let (to_broker, mut broker_orders) = mpsc::channel(4);
        let command = async move {
            while signals.next().await == Asked::Reload {
                let _ = to_worker.send(Order::Reload).await;
                let _ = to_broker.send(Order::Reload).await;
            }
            let _ = to_broker.send(Order::End(BROKER_DRAINS_WITHIN)).await;
            tokio::select! {
                // The broker's keeper lets go of its orders when the broker has ended.
                () = to_broker.closed() => {}
                _ = signals.next() => {
                    output::say(format_args!("dbal: asked again to end: not waiting for calls in flight"));
                    let _ = to_broker.send(Order::End(Duration::ZERO)).await;
                    to_broker.closed().await;
                }
            }
            let _ = to_worker.send(Order::End(WORKER_DRAINS_WITHIN)).await;
        };
        let keep_broker = async {
            broker.keep(&mut broker_orders).await;
            broker_orders.close();
        };
        tokio::join!(command, keep_broker, worker.keep(&mut worker_orders));
        if let Some(socket) = socket
            && is_left_behind(&socket)
        {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Whether there is a socket that nobody listens on. The worker has said where its own is; this process may be root, and what
/// somebody else has there is not the worker's to have removed.
fn is_left_behind(socket: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(socket).is_ok_and(|about| about.file_type().is_socket());
    is_socket
        && UnixStream::connect(socket)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// What the supervisor is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Read all files again.
    Reload,
    /// Drain and end.
    End,
}

/// The signals that mean something to a supervisor.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    on_hang_up: Asked,
}

impl Signals {
    /// From now on they no longer end the process. SIGHUP asks to reload, or tells that the terminal is gone.
    pub(crate) fn watch(on_hang_up: Asked) -> Result<Self, ToolError> {
        let on =
            |kind| signal(kind).map_err(|error| ToolError::Failed(format!("can't watch signals: {error}")));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
            on_hang_up,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.hang_up.recv() => self.on_hang_up,
        }
    }

    /// Waits until somebody wants an end.
    pub(crate) async fn end(&mut self) {
        while self.next().await != Asked::End {}
    }
}

/// The runtime of every command that waits for something: one thread, so that children have one parent thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, ToolError>>) -> Result<T, ToolError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ToolError::Failed(format!("can't start: {error}")))?
        .block_on(work)
}
