//! Keeps a stream to the worker: connects, greets, drives, and starts over when it breaks.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbal_daemon::local_stream::LocalStream;
use dbal_shared::frame::{FrameError, FrameReader, write_frame};
use dbal_shared::limits::{FRAME_TO_BROKER_BYTES, FRAME_TO_WORKER_BYTES};
use dbal_shared::message::{Hello, PROTOCOL, Rejected, ToBroker, ToWorker, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::link::{Event, Link, LinkError};
use super::{Agreed, Status, lock};
use dbal_daemon::causes;

/// First pause before trying again. Doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// A worker that is back must be found within this time: calls wait two seconds for it.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A worker that accepts and then says nothing isn't one.
const GREETING: Duration = Duration::from_secs(5);

/// Where the worker is, and who it must be.
#[derive(Clone, Debug)]
pub struct WorkerAddress {
    /// Its Unix socket.
    pub socket: PathBuf,
    /// The user id it must run as, if configured.
    pub uid: Option<u32>,
}

/// Owns the stream. Run it as one task for as long as the broker lives.
pub struct Keeper {
    address: WorkerAddress,
    agreed: Arc<Mutex<Agreed>>,
    publish: watch::Sender<Option<Arc<Link>>>,
    status: Arc<Status>,
}

#[derive(Debug, thiserror::Error)]
enum GreetingError {
    #[error("the worker can't be reached at {path}", path = path.display())]
    Unreachable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the worker's socket belongs to user {got}; `worker.uid` is {expected}")]
    WrongUser { got: u32, expected: u32 },
    #[error("the worker did not greet within {GREETING:?}")]
    Silent,
    #[error("the stream broke during the greeting")]
    Io(#[from] io::Error),
    #[error("the worker's greeting is no message")]
    Frame(#[from] FrameError),
    #[error(
        "the worker speaks protocol {worker}, this broker {PROTOCOL}: install the same version of both and restart both (docs/deploy.md, Upgrading)"
    )]
    Protocol { worker: u16 },
    #[error(
        "the worker's schema differs from this broker's: give both the same entity files and restart both (docs/deploy.md, Upgrading)"
    )]
    Schema,
    #[error("the worker began with something else than a greeting")]
    NoGreeting,
}

impl Keeper {
    pub(super) fn new(
        address: WorkerAddress,
        agreed: Arc<Mutex<Agreed>>,
        publish: watch::Sender<Option<Arc<Link>>>,
        status: Arc<Status>,
    ) -> Self {
        Self {
            address,
            agreed,
            publish,
            status,
        }
    }

    /// Runs until the task is aborted or nobody is left who could use the channel.
    pub async fn run(self) {
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        while !self.publish.is_closed() {
            match self.greet().await {
                Ok((stream, reader, welcome)) => {
                    pause = FIRST_PAUSE;
                    told.clear();
                    self.serve(stream, reader, welcome).await;
                }
                Err(error) => {
                    // The same trouble is told once, not twice a second.
                    let text = format!("{error}");
                    if text != told {
                        tracing::warn!(error = causes(&error), "no worker");
                        told = text;
                    }
                }
            }
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn serve(&self, stream: LocalStream, reader: FrameReader, welcome: Welcome) {
        let agreed = self.agreed();
        if welcome.policy != agreed.policy {
            tracing::warn!(
                worker = %welcome.policy,
                broker = %agreed.policy,
                "the worker's policy differs: calls are answered `retry` until both agree"
            );
        }
        tracing::info!(
            version = welcome.version,
            adapter = welcome.capabilities.adapter,
            "worker connected"
        );
        *lock(&self.status.welcome) = Some(welcome);
        self.status.greetings.fetch_add(1, Ordering::Relaxed);
        let link = Link::new(self.status.scale.clone());
        for report in lock(&self.status.reports).drain(..) {
            let _ = link.tell(&ToWorker::Report(report));
        }
        self.publish.send_replace(Some(Arc::clone(&link)));
        let (receive, send) = tokio::io::split(stream);
        let ended = link
            .drive(reader, receive, send, |event| match event {
                Event::Health(health) => {
                    *lock(&self.status.sample) = Some((Instant::now(), health));
                }
                Event::Draining => {
                    tracing::info!("worker drains");
                    self.publish.send_replace(None);
                }
                Event::Head(head) => {
                    let countersignature = lock(&self.status.heads).see(head);
                    if let Some(countersignature) = countersignature {
                        // Where there is no room, the next one names this head as the one before it.
                        let _ = link.tell(&ToWorker::Countersigned(countersignature));
                    }
                }
            })
            .await;
        self.publish.send_replace(None);
        // What a worker has shown last is what it can't take back.
        lock(&self.status.heads).tell();
        match ended {
            LinkError::Closed => tracing::warn!("worker left"),
            LinkError::Io(_) | LinkError::Frame(_) | LinkError::OutOfOrder(_) => {
                tracing::error!(error = causes(&ended), "channel lost");
            }
        }
    }

    async fn greet(&self) -> Result<(LocalStream, FrameReader, Welcome), GreetingError> {
        timeout(GREETING, self.connect_and_greet())
            .await
            .unwrap_or(Err(GreetingError::Silent))
    }

    async fn connect_and_greet(&self) -> Result<(LocalStream, FrameReader, Welcome), GreetingError> {
        let path = &self.address.socket;
        let stream = UnixStream::connect(path)
            .await
            .map_err(|source| GreetingError::Unreachable {
                path: path.clone(),
                source,
            })?;
        if let Some(expected) = self.address.uid {
            let got = stream.peer_cred()?.uid();
            if got != expected {
                return Err(GreetingError::WrongUser { got, expected });
            }
        }
        let mut stream = LocalStream::new(stream)?;
        let agreed = self.agreed();
        let hello = ToWorker::Hello(Hello {
            protocol: PROTOCOL,
            schema: agreed.schema,
            policy: agreed.policy,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        let mut frame = Vec::new();
        write_frame(&hello, FRAME_TO_WORKER_BYTES, &mut frame)?;
        stream.write_all(&frame).await?;
        let mut reader = FrameReader::new(FRAME_TO_BROKER_BYTES);
        let greeting = loop {
            if let Some(greeting) = reader.next_message::<ToBroker>()? {
                break greeting;
            }
            if stream.read_buf(reader.space()).await? == 0 {
                return Err(GreetingError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        };
        let welcome = self.judge(greeting)?;
        Ok((stream, reader, welcome))
    }

    fn agreed(&self) -> Agreed {
        *lock(&self.agreed)
    }

    fn judge(&self, greeting: ToBroker) -> Result<Welcome, GreetingError> {
        match greeting {
            ToBroker::Welcome(welcome) if welcome.protocol != PROTOCOL => Err(GreetingError::Protocol {
                worker: welcome.protocol,
            }),
            ToBroker::Welcome(welcome) if welcome.schema != self.agreed().schema => {
                Err(GreetingError::Schema)
            }
            ToBroker::Welcome(welcome) => Ok(welcome),
            ToBroker::Rejected(Rejected::Protocol { expected }) => {
                Err(GreetingError::Protocol { worker: expected })
            }
            ToBroker::Rejected(Rejected::Schema { .. }) => Err(GreetingError::Schema),
            ToBroker::SessionOpened(_)
            | ToBroker::SessionRefused(_)
            | ToBroker::Answer(_)
            | ToBroker::Health(_)
            | ToBroker::SessionEnded(_)
            | ToBroker::Draining
            | ToBroker::Head(_) => Err(GreetingError::NoGreeting),
        }
    }
}

/// Half to all of `pause`, so that several brokers don't knock at once.
fn jittered(pause: Duration) -> Duration {
    let half = pause.checked_div(2).unwrap_or(pause);
    let part = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    half.saturating_add(half.mul_f64(part))
}
