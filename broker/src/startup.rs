//! From the command line to a serving broker, in the one order that works: read everything, bind, lock, then start
//! threads, then let the first outside byte in.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Parser;
use dbal_daemon::log::{Level, LogError};
use dbal_daemon::spans::Spans;
use dbal_daemon::supervisor::{Supervisor, watchdog};
use dbal_sandbox::{Locked, Profile, RunAs, Setup};
use dbal_settings::SpanOutput;
use dbal_shared::message::{Lifecycle, Report};
use dbal_witness::Signer;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin;
use crate::admission::{Admission, Arrivals, Guesses, Strikes};
use crate::auth::Authenticator;
use crate::channel::{Agreed, Channel, WorkerAddress};
use crate::config::{self, BrokerConfig, Limits};
use crate::countersign::{self, CountersignKeyError};
use crate::health::Health;
use crate::listeners::{ListenError, Listeners};
use crate::metrics::Metrics;
use crate::net::address::{Bounds, Connections};
use crate::net::connection::ConnectionLimits;
use crate::net::drain::drain;
use crate::net::http::HttpLimits;
use crate::net::intake::Intake;
use crate::net::listen::{self, Listening};
use crate::net::long::LongMessages;
use crate::net::tls::{self, ServerSide};
use crate::reload::{self, Reloader, Reloads};
use crate::rulebook::{Rulebook, RulebookError};
use crate::serve::{Broker, RequestIds};
use crate::traces::Traces;

/// What waits in the kernel while the accept loop is busy.
const READY_PATIENCE: Duration = Duration::from_secs(30);
const MIB: usize = 1024 * 1024;
/// Named explicitly: counting CPUs reads files that the sandbox has closed by then.
const THREADS_AT_MOST: usize = 16;
/// For reading files and keys; within the `TasksMax=` of the unit.
const BLOCKING_THREADS: usize = 4;

/// The exposed half of dbal: TLS, JSON-RPC, authentication, rate limits and policy. Holds no credential and no driver.
#[derive(Debug, Parser)]
#[command(name = "dbal-broker", version)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Read everything, say what is wrong, and stop.
    #[arg(long)]
    check: bool,
    /// Listen on the socket that stands as standard input (systemd's `StandardInput=socket`).
    #[arg(long)]
    socket_stdin: bool,
    /// Write one JSON line to this descriptor once serving, and close it.
    #[arg(long, value_name = "N")]
    ready_fd: Option<RawFd>,
    /// Drain when this descriptor ends, because whoever started the broker is gone.
    #[arg(long, value_name = "N")]
    lifeline_fd: Option<RawFd>,
}

/// Why the broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Entity files, policy, keys for tokens.
    #[error(transparent)]
    Rulebook(#[from] RulebookError),
    /// Certificate and key.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The key that countersigns the audit trail.
    #[error(transparent)]
    CountersignKey(#[from] CountersignKeyError),
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A descriptor named on the command line.
    #[error("{what} can't be used")]
    Descriptor {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] dbal_sandbox::SandboxError),
    /// Randomness.
    #[error("the kernel gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// The runtime.
    #[error("the runtime can't be started")]
    Runtime(#[source] io::Error),
}

/// Everything that was read and opened while the process still could.
pub struct Prepared {
    file: PathBuf,
    config: BrokerConfig,
    level: Level,
    rulebook: Rulebook,
    tls: ServerSide,
    signer: Option<Signer>,
    listeners: Listeners,
    supervisor: Supervisor,
    boot: u32,
    threads: usize,
    /// How many descriptors the process may have.
    descriptors: u64,
}

/// Runs the broker to its end.
pub fn run(setup: Setup, arguments: &Arguments) -> Result<(), StartError> {
    if arguments.check {
        return check(&BrokerConfig::load(&arguments.config)?);
    }
    let (prepared, locked) = lock_in(setup, arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(prepared.threads)
        .thread_name("broker")
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let long = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("long-messages")
        .max_blocking_threads(1)
        .enable_time()
        .build()
        .map_err(StartError::Runtime)?;
    let served = runtime.block_on(prepared.serve(locked, long.handle().clone()));
    // What nobody waits for any more.
    long.shutdown_background();
    served
}

/// Reads and opens everything, and gives the rights up. What is left is to serve.
pub fn lock_in(setup: Setup, arguments: &Arguments) -> Result<(Prepared, Locked), StartError> {
    let named = [arguments.ready_fd, arguments.lifeline_fd];
    setup.keep_only(&named.into_iter().flatten().collect::<Vec<_>>())?;
    let config = BrokerConfig::load(&arguments.config)?;
    let level = dbal_daemon::log::begin(&config.log)?;
    let prepared = Prepared::new(config, level, arguments)?;
    let locked = prepared.lock(setup)?;
    Ok((prepared, locked))
}

/// Reads what a start reads. It takes no port: those of a broker that runs are taken, and its configuration is sound all the same.
fn check(config: &BrokerConfig) -> Result<(), StartError> {
    Rulebook::read(config)?;
    if let Some(refused) = tls::server_side(&config.tls)?.refused {
        eprintln!("dbal-broker: warning: {refused}");
    }
    countersign::read(&config.audit)?;
    let run_as = config.security.run_as.as_deref();
    run_as.map(RunAs::resolve).transpose()?;
    Ok(())
}

impl Prepared {
    fn new(config: BrokerConfig, level: Level, arguments: &Arguments) -> Result<Self, StartError> {
        Ok(Self {
            file: arguments.config.clone(),
            level,
            rulebook: Rulebook::read(&config)?,
            tls: tls::server_side(&config.tls)?,
            signer: countersign::read(&config.audit)?,
            listeners: Listeners::open(&config, arguments.socket_stdin)?,
            supervisor: Supervisor::inherit(arguments.ready_fd, arguments.lifeline_fd).map_err(|source| {
                StartError::Descriptor {
                    what: "--ready-fd or --lifeline-fd",
                    source,
                }
            })?,
            boot: getrandom::u32().map_err(StartError::Random)?,
            descriptors: dbal_sandbox::descriptors().map_err(StartError::Runtime)?,
            threads: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().div_euclid(2))
                .clamp(1, THREADS_AT_MOST),
            config,
        })
    }

    fn lock(&self, setup: Setup) -> Result<Locked, StartError> {
        let security = &self.config.security;
        let run_as = security.run_as.as_deref().map(RunAs::resolve).transpose()?;
        let rules = dbal_sandbox::Rules {
            profile: Profile::Broker,
            read: reload::rereadable(self.file.clone(), &self.config).paths(),
            write: Vec::new(),
            connect_ports: Vec::new(),
            leave_network: security.leave_network,
            run_as,
        };
        let locked = setup.lock(security.sandbox, &rules)?;
        dbal_daemon::log::sandbox(&locked);
        Ok(locked)
    }

    fn places(&self, limits: &Limits) -> Bounds {
        let wanted = Bounds {
            all: limits.connections,
            per_address: limits.connections_per_address,
            unproven: limits.unproven_connections.max(1),
        };
        let bounds = wanted.within(self.descriptors);
        if bounds.all < wanted.all {
            tracing::warn!(
                connections = bounds.all,
                descriptors = self.descriptors,
                "fewer connections than `limits.connections` fit into the limit of open files"
            );
        }
        bounds
    }

    async fn serve(mut self, locked: Locked, long: Handle) -> Result<(), StartError> {
        self.tls.warn();
        let places = self.places(&self.config.limits);
        let address = |listener: &TcpListener| listener.local_addr().ok();
        let Listeners { clients, admin } = self.listeners;
        let endpoints = (address(&clients), admin.as_ref().and_then(address));
        let limits = self.config.limits.clone();
        let (channel, keeper) = Channel::new(
            WorkerAddress {
                socket: self.config.worker.socket.clone(),
                uid: self.config.worker.uid,
            },
            Agreed {
                schema: self.rulebook.policy.schema().hash(),
                policy: self.rulebook.policy.hash(),
            },
            self.signer,
        );
        let metrics = Arc::new(Metrics::new(self.rulebook.policy.schema().entities()));
        let most = i64::try_from(places.all).unwrap_or(i64::MAX);
        metrics.clients_limit.set(most);
        let traces = Arc::new(traces(&self.config.traces)?);
        let strikes = Arc::new(Strikes::new(limits.unauthenticated_per_minute));
        let reloads = Arc::new(Reloads::new(self.rulebook.policy.hash()));
        let health = Arc::new(Health::new(
            Arc::clone(&channel),
            Arc::clone(&metrics),
            Arc::clone(&traces),
            locked.layers().to_vec(),
            locked.landlock().to_string(),
            Arc::clone(&reloads),
        ));
        let broker = Arc::new(Broker {
            authenticator: Authenticator::new(
                Arc::clone(&channel),
                Arc::clone(&strikes),
                Guesses::new(
                    limits.failed_proofs,
                    Duration::from_secs(limits.failed_proofs_pause_s),
                ),
                limits.connections_per_principal.max(1),
            ),
            admission: Admission::new(),
            rulebook: ArcSwap::from_pointee(self.rulebook),
            reloads,
            strikes,
            channel: Arc::clone(&channel),
            metrics,
            traces,
            request_ids: RequestIds::new(self.boot),
        });
        let listening = Arc::new(Listening {
            broker,
            health: Arc::clone(&health),
            tls: watch::Sender::new(Arc::new(self.tls)),
            connections: Connections::new(places),
            arrivals: Arrivals::new(
                limits.new_connections_per_minute,
                u32::try_from(limits.connections_per_address).unwrap_or(u32::MAX),
            ),
            intake: Intake::new(limits.messages_mib.max(1).saturating_mul(MIB)),
            long: Arc::new(LongMessages::new(long)),
            handshake: Duration::from_millis(limits.handshake_ms),
            http: HttpLimits {
                head: Duration::from_millis(limits.handshake_ms),
                whole: Duration::from_secs(limits.idle_s),
            },
            connection: ConnectionLimits {
                in_flight: limits.in_flight_per_connection.max(1),
                idle: Duration::from_secs(limits.idle_s.max(1)),
                unproven: Duration::from_secs(limits.unproven_s.max(1)),
                message: Duration::from_millis(limits.message_ms.max(1)),
                write: Duration::from_millis(limits.write_ms.max(1)),
            },
            sessions: limits.sessions_per_connection,
            token_in_query: self.config.auth.token_in_query,
        });

        let orders = self.supervisor.orders().map_err(StartError::Runtime)?;
        let hangups = signal(SignalKind::hangup()).map_err(StartError::Runtime)?;
        let reloader = Reloader {
            config: self.file,
            listening: Arc::clone(&listening),
            level: self.level,
        };
        let reloader = tokio::spawn(reloader.run(hangups));
        let keeper = tokio::spawn(keeper.run());
        let listener = adopt(clients).map_err(StartError::Runtime)?;
        let admin = admin.map(adopt).transpose().map_err(StartError::Runtime)?;
        let admin = admin.map(|listener| tokio::spawn(admin::serve(listener, health)));
        let (drainer, draining) = drain();
        let drainer = Arc::new(drainer);
        let patience = Duration::from_millis(limits.drain_ms);
        let clients = listen::accept(listener, listening, Arc::clone(&drainer), draining, patience);
        let clients = tokio::spawn(clients);

        channel.report(Report::Lifecycle(Lifecycle::Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }));
        let watchdog = tokio::spawn(watchdog());
        let mut stop = pin!(orders.stop());
        tokio::select! {
            () = tell_ready(&channel, &mut self.supervisor, endpoints) => stop.await,
            () = &mut stop => {}
        }

        channel.report(Report::Lifecycle(Lifecycle::Stopping));
        drainer.begin();
        let _ = clients.await;
        for task in [Some(keeper), Some(reloader), Some(watchdog), admin]
            .into_iter()
            .flatten()
        {
            task.abort();
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// After the lock: spans are written by a thread of their own.
fn traces(config: &config::Traces) -> Result<Traces, StartError> {
    let config::Traces {
        spans,
        sample,
        calls_per_second,
    } = *config;
    let spans = match spans {
        SpanOutput::Off => None,
        SpanOutput::Stdout => {
            Some(Spans::to_stdout("dbal-broker", calls_per_second).map_err(StartError::Runtime)?)
        }
    };
    Ok(Traces::new(spans, sample))
}

fn adopt(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// Serving means that a worker has greeted. Without one the broker says so and serves what it can: health and refusals.
async fn tell_ready(
    channel: &Channel,
    supervisor: &mut Supervisor,
    (listen, admin): (Option<SocketAddr>, Option<SocketAddr>),
) {
    let patience = Instant::now()
        .checked_add(READY_PATIENCE)
        .unwrap_or_else(Instant::now);
    if !channel.greeted(patience).await {
        tracing::error!("no worker has greeted; calls are answered 503 until one does");
    }
    tracing::info!(listen = listen.map(tracing::field::display), "serving");
    supervisor.ready(&serde_json::json!({"listen": listen, "admin": admin}));
}
