//! Builds everything, in the order in which rights are given up, and serves.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use dbal_audit::{AuditError, Durability, Event, Journal, KeyError, Signer, Terms};
use dbal_config::{
    Audit, Cache, ConfigError, Database as DatabaseConfig, Expiry, OtherDaemons, Security, SpanOutput,
    WorkerConfig,
};
use dbal_daemon::log::LogError;
use dbal_daemon::spans::Spans;
use dbal_daemon::supervisor::{Supervisor, watchdog};
use dbal_sandbox::{Layer, Locked, Mode, Profile, Rules, RunAs, SandboxError, Setup, State};
use dbal_schema::{Entity, SchemaError};
use dbal_shared::message::{self, LayerState};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::LocalOptions;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::alive::NotAlive;
use crate::args::Args;
use crate::cache::{Bounds, Others};
use crate::channel::{self, Shared};
use crate::cursor::{Cursors, NoKey, NoRandomness};
use crate::database::sweep::Keeping;
use crate::database::{self, Connections, Database, Needs, NoThread, OpenError, Waiting};
use crate::expiry;
use crate::ledger::Ledger;
use crate::lost::lost;
use crate::reload;
use crate::rulebook::{Rulebook, RulebookError, Sources};
use crate::socket::{self, SocketError};
use crate::traces::Traces;

/// How often it is looked whether a file of the audit trail has ended.
const COMPRESS: Duration = Duration::from_secs(1);
/// For files and gzip; within the `TasksMax=` of the unit.
const BLOCKING_THREADS: usize = 4;

/// Why the worker does not serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The log.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The entities, where nothing else is read.
    #[error("{0}")]
    Schema(#[source] SchemaError),
    /// Entities, policy or keys.
    #[error("{0}")]
    Rulebook(#[from] RulebookError),
    /// The audit trail.
    #[error("{0}")]
    Audit(#[from] AuditError),
    /// The key of its checkpoints.
    #[error("audit.checkpoint_key: {0}")]
    CheckpointKey(#[from] KeyError),
    /// The database.
    #[error("{0}")]
    Database(#[from] OpenError),
    /// The socket.
    #[error("{0}")]
    Socket(#[from] SocketError),
    /// The worker that was asked for is not alive.
    #[error("{0}")]
    NotAlive(#[from] NotAlive),
    /// The sandbox.
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
    /// A thread of the database.
    #[error("{0}")]
    Thread(#[from] NoThread),
    /// The cursors' key.
    #[error("{0}")]
    Cursors(#[from] NoRandomness),
    /// A key of cursors that was given.
    #[error("{0}")]
    CursorKey(#[from] NoKey),
    /// The database is away, perhaps for good.
    #[error(
        "the database at `{host}` has not answered for {seconds} s: ending, so that whoever starts the worker again has its name \
         resolved anew (limits.resolve_again_s)"
    )]
    DatabaseLost {
        /// As configured.
        host: String,
        /// For so long.
        seconds: u32,
    },
    /// A descriptor of the supervisor's.
    #[error("--ready-fd or --lifeline-fd can't be used: {0}")]
    Supervisor(#[source] std::io::Error),
    /// The runtime, or a descriptor that it needs.
    #[error("the runtime can't be started: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Reads entities, policy and keys.
pub fn read_rules(config: &WorkerConfig) -> Result<Rulebook, StartError> {
    Ok(Sources::of(config).read()?)
}

/// Reads the configuration and begins the log.
pub fn read_config(args: &Args) -> Result<WorkerConfig, StartError> {
    let config = dbal_config::open(&args.config, args.identity())?;
    dbal_daemon::log::begin(&config.log)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

/// What was opened while everything was still allowed.
pub struct Opened {
    config: WorkerConfig,
    rulebook: Rulebook,
    /// Read once, and out of reach from the lock on.
    secrets: Vec<PathBuf>,
    journal: Journal,
    connections: Connections,
    listener: UnixListener,
    socket: Option<PathBuf>,
    supervisor: Supervisor,
    run_as: Option<RunAs>,
}

/// Opens everything that needs a right which the lock takes away. Starts no thread.
pub fn open(
    args: &Args,
    secrets: Vec<PathBuf>,
    config: WorkerConfig,
    rulebook: Rulebook,
) -> Result<Opened, StartError> {
    let run_as = run_as(&config.security)?;
    let journal = acting(run_as, || journal(&config.audit))??;
    let schema = rulebook.policy.schema();
    let connections = opened_by(&config.database, run_as, || {
        database::open(&config.database, schema)
    })??;
    let supervisor = Supervisor::inherit(args.ready_fd, args.lifeline_fd).map_err(StartError::Supervisor)?;
    let (listener, socket) = acting(run_as, || socket::listen(&config.socket, args.socket_stdin))??;
    Ok(Opened {
        config,
        rulebook,
        secrets,
        journal,
        connections,
        listener,
        socket,
        supervisor,
        run_as,
    })
}

/// Whom the process becomes.
pub fn run_as(security: &Security) -> Result<Option<RunAs>, SandboxError> {
    security.run_as.as_deref().map(RunAs::resolve).transpose()
}

/// With the rights of whom the worker becomes: the folders that it makes files in can be written by that user, who may have put links
/// there.
fn acting<T>(run_as: Option<RunAs>, work: impl FnOnce() -> T) -> Result<T, SandboxError> {
    match run_as {
        Some(user) => user.acting(work),
        None => Ok(work()),
    }
}

/// The same for a database that is a file. For a server, certificates and keys are read that may be root's alone, and nothing is made.
pub fn opened_by<T>(
    config: &DatabaseConfig,
    run_as: Option<RunAs>,
    open: impl FnOnce() -> T,
) -> Result<T, SandboxError> {
    match config {
        DatabaseConfig::Sqlite(_) => acting(run_as, open),
        DatabaseConfig::Postgresql(_) | DatabaseConfig::Mysql(_) | DatabaseConfig::Prisma(_) => Ok(open()),
    }
}

fn journal(config: &Audit) -> Result<Journal, StartError> {
    const HOUR: Duration = Duration::from_hours(1);
    let durability = match config.durability {
        dbal_config::Durability::Interval => Durability::Interval,
        dbal_config::Durability::Always => Durability::Always,
    };
    let terms = Terms {
        bytes: Some(u64::from(config.rotate_mib).saturating_mul(1024 * 1024)),
        age: Some(HOUR.saturating_mul(config.rotate_hours)),
        keep_files: config
            .keep_files
            .map(|files| usize::try_from(files).unwrap_or(usize::MAX)),
        keep: config
            .keep_days
            .map(|days| HOUR.saturating_mul(24).saturating_mul(days)),
        compress: config.compress,
    };
    let journal = Journal::open(&config.directory, durability)?.under(terms);
    let Some(key) = &config.checkpoint_key else {
        return Ok(journal);
    };
    let signer = Signer::new(key.expose_secret())?;
    tracing::info!(key = %signer.public(), "checkpoints of the audit trail are signed");
    Ok(journal.signed_by(signer, config.checkpoint_records.into()))
}

/// How much of the sandbox must hold.
pub fn mode(security: &Security) -> Mode {
    match security.sandbox {
        dbal_config::Sandbox::Strict => Mode::Strict,
        dbal_config::Sandbox::Permissive => Mode::Permissive,
        dbal_config::Sandbox::Off => Mode::Off,
    }
}

/// What the process needs once it is locked in: what its database needs, the audit's folder, and what a reload reads.
pub fn rules(opened: &Opened) -> Rules {
    let Needs {
        mut write,
        connect_ports,
    } = database::needs(&opened.config.database);
    write.push(opened.config.audit.directory.clone());
    let network = !connect_ports.is_empty();
    Rules {
        profile: Profile::Worker { network },
        read: Sources::of(&opened.config)
            .rereadable(opened.secrets.clone())
            .paths(),
        write,
        connect_ports,
        leave_network: !network,
        run_as: opened.run_as,
    }
}

/// Gives the rights up.
pub fn lock(setup: Setup, opened: &Opened) -> Result<Locked, StartError> {
    let locked = setup.lock(mode(&opened.config.security), &rules(opened))?;
    dbal_daemon::log::sandbox(&locked);
    Ok(locked)
}

/// Serves until SIGTERM or SIGINT. Takes the proof that the process is locked in: nothing before this line has read a
/// byte from outside.
pub fn serve(locked: &Locked, opened: Opened) -> Result<(), StartError> {
    let Opened {
        config,
        rulebook,
        secrets: _,
        journal,
        connections,
        listener,
        socket,
        supervisor,
        run_as: _,
    } = opened;
    let traces = traces(config.traces, connections.adapter())?;
    let ledger = Ledger::new(journal, config.audit.on_failure).traced_by(traces);
    let ledger = Arc::new(ledger);
    let waiting = Waiting {
        most: usize::try_from(config.limits.queue).unwrap_or(usize::MAX),
        patience: Duration::from_millis(config.limits.queue_ms.into()),
    };
    let keeping = Keeping {
        answers_ms: i64::from(config.limits.idempotency_hours).saturating_mul(3_600_000),
        ..Keeping::default()
    };
    let caching = caching(&config);
    if caching.is_none() && config.cache.enabled && connections.effects().keeps_any() {
        tracing::warn!(
            "no answers are kept although entities say `cache`: this database does not tell what other daemons write; where it is enough \
             to see that when an answer's time is over, or where there are no others, write `cache: {{other_daemons: within_ttl}}`"
        );
    }
    let (mut database, here) = Database::start(connections, waiting, keeping, caching)?;
    let expire_every = expire_every(&config, rulebook.policy.schema().entities());
    if !config.expiry.enabled {
        database.expires_nothing();
    }
    let shared = Arc::new(Shared {
        rulebook: watch::Sender::new(Arc::new(rulebook)),
        failed_reloads: AtomicU32::new(0),
        database,
        ledger: Arc::clone(&ledger),
        cursors: Arc::new(cursors(&config.cursor_keys)?),
        drain: Duration::from_millis(u64::from(config.limits.drain_ms)),
        query_timeout: Duration::from_millis(u64::from(config.limits.query_timeout_ms)),
        sandbox: locked.layers().iter().map(told).collect(),
        sessions: Arc::new(AtomicU32::new(0)),
    });
    let mut allowed: BTreeSet<u32> = config.socket.allow_uid.iter().copied().collect();
    allowed.insert(nix::unistd::Uid::effective().as_raw());
    // One thread for all channels: decisions take microseconds, and a database that blocks has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(StartError::Runtime)?;
    let lost = config.database.named_host().map(|host| StartError::DatabaseLost {
        host: host.to_owned(),
        seconds: config.limits.resolve_again_s,
    });
    let patience = Duration::from_secs(u64::from(config.limits.resolve_again_s));
    let periods = Periods {
        sync: Duration::from_millis(u64::from(config.audit.interval_ms)),
        lost_after: lost.is_some().then_some(patience),
        expire_every,
    };
    let here = runtime.spawn_local(here);
    let served = run(
        listener,
        allowed,
        Arc::clone(&shared),
        periods,
        supervisor,
        socket.as_deref(),
        Sources::of(&config),
    );
    let end = runtime.block_on(served)?;

    tracing::info!("closing the database and the audit trail");
    if let Some(shared) = Arc::into_inner(shared) {
        shared.database.stop();
        if let Err(error) = runtime.block_on(here) {
            tracing::error!(%error, "the database ended badly");
        }
    }
    let why = match end {
        End::Ordered => "",
        End::Lost => "the database is away; to resolve its name anew",
    };
    ledger.worker(Event::WorkerStopping, why);
    ledger.sync();
    match (end, lost) {
        (End::Lost, Some(lost)) => Err(lost),
        (End::Ordered | End::Lost, _) => Ok(()),
    }
}

/// What is done again and again, or once something has been so for long.
#[derive(Clone, Copy)]
struct Periods {
    /// Between two syncs of the audit trail.
    sync: Duration,
    /// How long a database may be away whose name may mean another address by then.
    lost_after: Option<Duration>,
    /// Between two looks for rows whose time is over; none where this worker removes none.
    expire_every: Option<Duration>,
}

/// Why it serves no longer.
#[derive(Clone, Copy)]
enum End {
    /// Somebody wants it.
    Ordered,
    /// The database is away for too long.
    Lost,
}

fn cursors(keys: &[SecretString]) -> Result<Cursors, StartError> {
    match Cursors::with(keys.iter().map(ExposeSecret::expose_secret))? {
        Some(cursors) => Ok(cursors),
        None => Ok(Cursors::new()?),
    }
}

/// After the lock: spans are written by a thread of their own.
fn traces(config: dbal_config::Traces, adapter: &str) -> Result<Option<Traces>, StartError> {
    let dbal_config::Traces {
        spans,
        calls_per_second,
    } = config;
    match spans {
        SpanOutput::Off => Ok(None),
        SpanOutput::Stdout => {
            let spans = Spans::to_stdout("dbal-worker", calls_per_second).map_err(StartError::Runtime)?;
            Ok(Some(Traces::new(spans, adapter)))
        }
    }
}

/// How answers are kept; none where they are not. Where nobody tells what other daemons write, that has to have been accepted.
fn caching(config: &WorkerConfig) -> Option<Bounds> {
    let Cache {
        enabled,
        size_mb,
        ttl,
        other_daemons,
    } = config.cache;
    let others = match (&config.database, other_daemons) {
        (DatabaseConfig::Postgresql(_), _) => Others::AreHeard,
        (
            DatabaseConfig::Sqlite(_) | DatabaseConfig::Mysql(_) | DatabaseConfig::Prisma(_),
            Some(OtherDaemons::WithinTtl),
        ) => Others::WithinTtl,
        (DatabaseConfig::Sqlite(_) | DatabaseConfig::Mysql(_) | DatabaseConfig::Prisma(_), None) => {
            return None;
        }
    };
    enabled.then(|| Bounds {
        bytes: usize::try_from(size_mb)
            .unwrap_or(usize::MAX)
            .saturating_mul(1024 * 1024),
        longest: Duration::from_secs(u64::from(ttl)),
        others,
    })
}

/// How often this worker looks for rows whose time is over. Tells the log where entities count on it in vain.
fn expire_every(config: &WorkerConfig, entities: &[Entity]) -> Option<Duration> {
    let Expiry { enabled, interval_s } = config.expiry;
    let names: Vec<&str> = expiry::expiring(entities)
        .map(|entity| entity.name.as_str())
        .collect();
    if names.is_empty() {
        return None;
    }
    let names = names.join(", ");
    if !enabled {
        tracing::warn!(
            entities = names,
            "rows stay after their time although their entities say `ttl: {{auto_delete: true}}`: `expiry.enabled` is false here, so \
             another worker has to remove them"
        );
        return None;
    }
    if config.database.takes_replicas() {
        tracing::warn!(
            entities = names,
            "rows stay after their time while the database is a replica (`target: any`): another worker has to remove them"
        );
    }
    tracing::info!(
        entities = names,
        every_s = interval_s,
        "rows whose time is over are removed"
    );
    Some(Duration::from_secs(u64::from(interval_s)))
}

async fn run(
    listener: UnixListener,
    allowed: BTreeSet<u32>,
    shared: Arc<Shared>,
    periods: Periods,
    mut supervisor: Supervisor,
    socket: Option<&Path>,
    sources: Sources,
) -> Result<End, StartError> {
    let Periods {
        sync,
        lost_after,
        expire_every,
    } = periods;
    listener.set_nonblocking(true).map_err(StartError::Runtime)?;
    let listener = tokio::net::UnixListener::from_std(listener).map_err(StartError::Runtime)?;
    let orders = supervisor.orders().map_err(StartError::Runtime)?;
    let hangups = signal(SignalKind::hangup()).map_err(StartError::Runtime)?;
    let (drain, drains) = watch::channel(false);
    let background = [
        tokio::spawn(keep(Arc::clone(&shared.ledger), sync)),
        tokio::spawn(compress(Arc::clone(&shared.ledger))),
        tokio::spawn(shared.database.expiring()),
        tokio::spawn(watchdog()),
    ];

    shared.ledger.worker(
        Event::WorkerStarted,
        concat!("version ", env!("CARGO_PKG_VERSION")),
    );
    shared.ledger.sync();
    supervisor.ready(&serde_json::json!({ "socket": socket }));
    let policy = Arc::clone(&shared.rulebook.borrow().policy);
    tracing::info!(schema = %policy.schema().hash(), policy = %policy.hash(), "serving");
    let expiring =
        expire_every.map(|every| tokio::spawn(expiry::serve(Arc::clone(&shared), every, drains.clone())));
    let serving = tokio::spawn(channel::serve(listener, allowed, Arc::clone(&shared), drains));
    let lost = async {
        match lost_after {
            Some(after) => lost(shared.database.samples(), after).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        () = orders.stop() => End::Ordered,
        () = reload::at_each(hangups, sources, &shared) => End::Ordered,
        () = lost => {
            tracing::error!("draining: the database does not answer, and its name may mean another address");
            End::Lost
        }
    };
    drain.send_replace(true);
    if let Err(error) = serving.await {
        tracing::error!(%error, "a channel ended badly");
    }
    // What it has begun has a deadline, and belongs into the audit.
    if let Some(expiring) = expiring
        && let Err(error) = expiring.await
    {
        tracing::error!(%error, "the removal of rows whose time is over ended badly");
    }
    for task in background {
        task.abort();
    }
    shared.ledger.end();
    Ok(end)
}

/// Syncs the audit trail, and rotates it.
async fn keep(ledger: Arc<Ledger>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // On its own thread: a slow disk must not hold up the answers to others.
        let ledger = Arc::clone(&ledger);
        let _ = tokio::task::spawn_blocking(move || ledger.sync()).await;
    }
}

/// Compresses files of the audit trail that ended, one after the other.
async fn compress(ledger: Arc<Ledger>) {
    let mut ticks = tokio::time::interval(COMPRESS);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ledger = Arc::clone(&ledger);
        let _ = tokio::task::spawn_blocking(move || ledger.compress()).await;
    }
}

fn told(layer: &Layer) -> message::Layer {
    let Layer { name, state } = layer;
    message::Layer {
        name: (*name).to_owned(),
        state: match state {
            State::InForce => LayerState::InForce,
            State::Missing(why) => LayerState::Missing { why: why.clone() },
            State::Off => LayerState::Off,
        },
    }
}
