//! The database behind its queues. What a plan needs of any database is said once, here; each adapter adds its connections,
//! its threads and its session.

pub mod queue;
mod leasing;
pub mod sample;
pub mod session;
pub mod trouble;
pub mod catalog;
pub mod compare;
pub mod repair;
pub mod inspection;
pub mod sweep;
mod unique;
mod rows;
mod uuid_text;
mod kept;
mod exact_sum;
mod linked;
mod numbers;
mod gather;
mod singles;
mod read;
mod write;
mod task;
mod race;
mod answers;
#[cfg(test)]
mod running;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod gathered;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod agreement;
#[cfg(test)]
mod cached;
#[cfg(test)]
mod expired;
pub mod sqlite;
pub mod postgres;
pub mod mysql;
pub mod prisma;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dbal_config::{Bridge, Database as DatabaseConfig, Host};
use dbal_schema::Schema;
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Capabilities, Reply};
use dbal_shared::plan::Action;
use tokio::sync::watch;

use crate::cache::{Bounds, Cache, Effects};
use crate::job::{Control, Job, Refusal, Task, What};
use leasing::Kind;
use queue::Queue;
use sample::Sample;
use sweep::Keeping;
use trouble::Trouble;

/// Connections to whichever database the configuration names, opened before the process locks itself in.
pub enum Connections {
    /// A SQLite file.
    Sqlite(sqlite::Connections),
    /// A PostgreSQL server.
    Postgres(postgres::Connections),
    /// A MariaDB or MySQL server.
    Mysql(mysql::Connections),
    /// A bridge to a Prisma client.
    Prisma(prisma::Connections),
}

impl Connections {
    /// What writes may change, as the database was when it was opened.
    pub fn effects(&self) -> Arc<Effects> {
        Arc::clone(match self {
            Connections::Sqlite(connections) => &connections.effects,
            Connections::Postgres(connections) => &connections.effects,
            Connections::Mysql(connections) => &connections.effects,
            Connections::Prisma(connections) => &connections.effects,
        })
    }

    /// What the adapter calls itself.
    pub fn adapter(&self) -> &str {
        let capabilities = match self {
            Connections::Sqlite(connections) => &connections.capabilities,
            Connections::Postgres(connections) => &connections.capabilities,
            Connections::Mysql(connections) => &connections.capabilities,
            Connections::Prisma(connections) => &connections.capabilities,
        };
        &capabilities.adapter
    }

    /// How many reads, and how many changes, can have a connection of their own at once. One change in SQLite at a time: they
    /// share commits.
    fn alone_at_once(&self) -> (usize, usize) {
        let connections = usize::try_from(self.count()).unwrap_or(0);
        let (reads, changes) = match self {
            Connections::Sqlite(connections) => return (connections.readers.len(), 0),
            Connections::Postgres(_) => {
                let most = postgres::alone_at_once(connections);
                return (most, most);
            }
            Connections::Mysql(_) => (Kind::LongRead, Kind::Change),
            Connections::Prisma(_) => (Kind::Read, Kind::Change),
        };
        (
            leasing::at_once(connections, reads),
            leasing::at_once(connections, changes),
        )
    }

    /// Whether reads of single rows can share connections, or one statement.
    fn share(&self) -> bool {
        match self {
            Connections::Postgres(_) | Connections::Mysql(_) => true,
            Connections::Sqlite(_) | Connections::Prisma(_) => false,
        }
    }

    /// How many calls can be worked on at once, each on a connection of its own.
    fn count(&self) -> u32 {
        match self {
            Connections::Sqlite(connections) => {
                // And the one that writes.
                let readers = u32::try_from(connections.readers.len()).unwrap_or(u32::MAX);
                readers.saturating_add(1)
            }
            Connections::Postgres(connections) => connections.pool_size,
            Connections::Mysql(connections) => connections.pool_size,
            Connections::Prisma(connections) => connections.pool_size,
        }
    }
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A SQLite file.
    #[error("{0}")]
    Sqlite(#[from] sqlite::OpenError),
    /// A PostgreSQL server.
    #[error("{0}")]
    Postgres(#[source] Box<postgres::OpenError>),
    /// A MariaDB or MySQL server.
    #[error("{0}")]
    Mysql(#[source] Box<mysql::OpenError>),
    /// A bridge to a Prisma client.
    #[error("{0}")]
    Prisma(#[source] Box<prisma::OpenError>),
}

/// What the locked-in process must still be able to do for its database.
#[derive(Debug, Default)]
pub struct Needs {
    /// Folders to write in.
    pub write: Vec<PathBuf>,
    /// TCP ports to connect to; none means that the network can be left.
    pub connect_ports: Vec<u16>,
}

/// Opens the database and refuses one that does not fit the schema.
pub fn open(config: &DatabaseConfig, schema: &Schema) -> Result<Connections, OpenError> {
    match config {
        DatabaseConfig::Sqlite(config) => {
            let connections = sqlite::open(config, schema)?;
            Ok(Connections::Sqlite(connections))
        }
        DatabaseConfig::Postgresql(config) => {
            let connections = postgres::open(config, schema);
            let connections = connections.map_err(|error| OpenError::Postgres(Box::new(error)))?;
            Ok(Connections::Postgres(connections))
        }
        DatabaseConfig::Mysql(config) => {
            let connections = mysql::open(config, schema);
            let connections = connections.map_err(|error| OpenError::Mysql(Box::new(error)))?;
            Ok(Connections::Mysql(connections))
        }
        DatabaseConfig::Prisma(config) => {
            let connections = prisma::open(config, schema);
            let connections = connections.map_err(|error| OpenError::Prisma(Box::new(error)))?;
            Ok(Connections::Prisma(connections))
        }
    }
}

/// See [`Needs`].
pub fn needs(config: &DatabaseConfig) -> Needs {
    match config {
        DatabaseConfig::Sqlite(config) => Needs {
            // SQLite keeps its log beside the file.
            write: vec![config.path.parent().unwrap_or_else(|| Path::new("/")).to_owned()],
            connect_ports: Vec::new(),
        },
        DatabaseConfig::Postgresql(config) => Needs {
            write: Vec::new(),
            // A Unix socket needs no network: its path leads to it from any network namespace.
            connect_ports: ports(&config.host, config.port),
        },
        DatabaseConfig::Mysql(config) => Needs {
            write: Vec::new(),
            // A Unix socket is reached without the network.
            connect_ports: ports(&config.host, config.port),
        },
        DatabaseConfig::Prisma(config) => Needs {
            write: Vec::new(),
            connect_ports: match &config.url {
                Bridge::Tcp { port, .. } => vec![*port],
                // As PostgreSQL's.
                Bridge::Unix(_) => Vec::new(),
            },
        },
    }
}

fn ports(hosts: &[Host], usual: u16) -> Vec<u16> {
    let of_one = |host: &Host| match host {
        Host::Tcp { name: _, port } => Some(port.unwrap_or(usual)),
        Host::Folder(_) => None,
    };
    hosts.iter().filter_map(of_one).collect()
}

/// What an adapter does on the thread of whoever started it. To be run in a `LocalRuntime`; it ends some time after
/// [`Database::stop`].
pub type Here = Pin<Box<dyn Future<Output = ()>>>;

/// A running database.
pub struct Database {
    /// None where all reads wait in one line.
    keys: Option<Arc<Queue<Job>>>,
    reads: Arc<Queue<Job>>,
    writes: Arc<Queue<Job>>,
    active: Arc<AtomicU32>,
    pool: u32,
    capabilities: Capabilities,
    samples: watch::Receiver<Sample>,
    keeping: Keeping,
    /// None where no entity wants it.
    cache: Option<Arc<Cache>>,
    /// Dropped to end the observer.
    observed: mpsc::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

/// What an adapter's threads share with the rest of the worker.
pub(crate) struct Work {
    /// Reads that share connections or statements, where there are such: they are not to wait for those that take long.
    pub(crate) keys: Option<Arc<Queue<Job>>>,
    /// The other calls that change nothing.
    pub(crate) reads: Arc<Queue<Job>>,
    /// Calls that change something.
    pub(crate) writes: Arc<Queue<Job>>,
    /// Connections that are at work.
    pub(crate) active: Arc<AtomicU32>,
    /// Where the observer tells how the database answers.
    pub(crate) samples: watch::Sender<Sample>,
    /// How long answers to named writes are kept.
    pub(crate) keeping: Keeping,
    /// What others may have to be told of writes.
    pub(crate) effects: Arc<Effects>,
    /// What is to hear of others' writes.
    pub(crate) cache: Option<Arc<Cache>>,
    /// Threads that serve nobody end when the other end is gone.
    pub(crate) stop: mpsc::Receiver<()>,
}

/// How many calls may wait for the database, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Calls of each kind.
    pub most: usize,
    /// A call that has waited for longer is answered 503 when its turn comes.
    pub patience: Duration,
}

/// Why a database thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the thread `{name}` could not be started")]
pub struct NoThread {
    name: String,
    #[source]
    source: std::io::Error,
}

/// How often it is looked whether calls have waited for too long, where the database takes none: well within the time that a broker
/// gives a worker to say so.
const EXPIRY: Duration = Duration::from_millis(100);

/// Whether a task reads one row and nothing that it brings along, which must be of the same moment and so needs a snapshot.
fn is_of_a_key(task: &Task) -> bool {
    let What::One(plan) = &task.what else {
        return false;
    };
    matches!(plan.action(), Action::Read { includes, .. } if includes.is_empty())
}

fn is_over(job: &Job) -> bool {
    job.ticket.control().over().is_some()
}

/// Nothing of it was done.
fn refuse_late(job: Job) {
    let detail = "it waited too long for the database (`limits.queue_ms`)";
    let late = || Refusal::new(Code::Unavailable, Advice::Retry, detail);
    let refusal = job.ticket.control().over().unwrap_or_else(late);
    job.answer(Err(refusal));
}

impl Database {
    /// Starts what works on open connections: threads where calls block them, and what is to be run here where they only wait.
    /// `waiting` bounds how many calls wait for each kind, and for how long. With `caching`, answers are kept where entities
    /// want it.
    pub fn start(
        connections: Connections,
        waiting: Waiting,
        keeping: Keeping,
        caching: Option<Bounds>,
    ) -> Result<(Self, Here), NoThread> {
        let effects = connections.effects();
        let cache = caching.and_then(|terms| Cache::new(Arc::clone(&effects), terms));
        let Waiting { most, patience } = waiting;
        let queue = || Queue::new(most).with_patience(patience, is_over, refuse_late);
        // One of its own for each, so that a flood of the one kind makes none of the other wait.
        let keys = connections.share().then(|| Arc::new(queue()));
        let (reads, writes) = connections.alone_at_once();
        let reads = Arc::new(queue().on_connections(reads));
        let writes = Arc::new(queue().on_connections(writes));
        let active = Arc::new(AtomicU32::new(0));
        let (sender, samples) = watch::channel(Sample {
            is_connected: true,
            latency: Duration::ZERO,
        });
        let (observed, stop) = mpsc::channel();
        let work = Work {
            keys: keys.clone(),
            reads: Arc::clone(&reads),
            writes: Arc::clone(&writes),
            active: Arc::clone(&active),
            samples: sender,
            keeping,
            effects,
            cache: cache.clone(),
            stop,
        };
        let pool = connections.count();
        let mut here: Here = Box::pin(std::future::ready(()));
        let (capabilities, threads) = match connections {
            Connections::Sqlite(connections) => sqlite::start(connections, work)?,
            Connections::Postgres(connections) => {
                let (capabilities, serving) = postgres::start(connections, work);
                here = Box::pin(serving);
                (capabilities, Vec::new())
            }
            Connections::Mysql(connections) => {
                let (capabilities, serving) = mysql::start(connections, work);
                here = Box::pin(serving);
                (capabilities, Vec::new())
            }
            Connections::Prisma(connections) => prisma::start(connections, work)?,
        };
        let database = Self {
            keys,
            reads,
            writes,
            active,
            pool,
            capabilities,
            samples,
            keeping,
            cache,
            observed,
            threads,
        };
        Ok((database, here))
    }

    /// Queues a call. When too many wait, one is answered 503: this one, or another's whose caller has more of them waiting.
    pub fn submit(&self, job: Job) {
        let met = match &self.cache {
            None => Some(job),
            Some(cache) => cache.meet(job),
        };
        if let Some(job) = met {
            self.queue(job);
        }
    }

    fn queue(&self, mut job: Job) {
        let once = job.task.once.take();
        job.task.once = once.map(|once| Box::new(once.kept_for(self.keeping.answers_ms)));
        let queue = match &self.keys {
            _ if job.task.is_write() => &self.writes,
            Some(keys) if is_of_a_key(&job.task) => keys,
            Some(_) | None => &self.reads,
        };
        if let Err(job) = queue.push(job.ticket.lane(), job) {
            let detail = "too many calls wait for the database";
            job.answer(Err(Refusal::new(Code::Unavailable, Advice::Retry, detail)));
        }
    }

    /// Answers calls that wait in vain, for as long as it is polled.
    pub fn expiring(&self) -> impl Future<Output = ()> + Send + use<> {
        let queues: Vec<_> = self.queues().cloned().collect();
        async move {
            let mut ticks = tokio::time::interval(EXPIRY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                for queue in &queues {
                    queue.expire();
                }
            }
        }
    }

    /// Nobody here removes rows whose time is over.
    pub fn expires_nothing(&mut self) {
        self.capabilities.ttl = false;
    }

    /// What it can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Answers that are kept.
    pub fn cache(&self) -> Option<&Arc<Cache>> {
        self.cache.as_ref()
    }

    /// How it answered when last asked, and when that changes.
    pub fn samples(&self) -> watch::Receiver<Sample> {
        self.samples.clone()
    }

    /// Connections that are at work.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Connections that there are for calls.
    pub fn pool(&self) -> u32 {
        self.pool
    }

    /// Calls that wait.
    pub fn queued(&self) -> u32 {
        let waiting = self.queues().map(|queue| queue.len());
        u32::try_from(waiting.sum::<usize>()).unwrap_or(u32::MAX)
    }

    fn queues(&self) -> impl Iterator<Item = &Arc<Queue<Job>>> {
        self.keys.iter().chain([&self.reads, &self.writes])
    }

    /// Answers what is queued, then closes the connections.
    pub fn stop(self) {
        self.queues().for_each(|queue| queue.close());
        drop(self.observed);
        for thread in self.threads {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!(name, "a database thread panicked");
            }
        }
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, NoThread> {
    let builder = std::thread::Builder::new().name(name.clone());
    builder.spawn(run).map_err(|source| NoThread { name, source })
}

/// Runs `work`, puts its time into the reply, and logs what is our own fault.
fn timed(control: &Control, work: impl FnOnce() -> Result<Reply, Trouble>) -> Result<Reply, Refusal> {
    settled(control.begin(), work())
}

/// The outcome of work that began at `start`.
fn settled(start: Instant, outcome: Result<Reply, Trouble>) -> Result<Reply, Refusal> {
    let database_us = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
    match outcome {
        Ok(reply) => Ok(Reply { database_us, ..reply }),
        Err(trouble) => Err(trouble.into_refusal()),
    }
}
