//! The database behind its queues: one thread that writes, a few that read, one that looks whether it still answers.

pub mod queue;
pub mod sqlite;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Capabilities};

use crate::job::{Job, Refusal};
use queue::Queue;
use sqlite::Connections;
use sqlite::observer::Sample;
use tokio::sync::watch;

/// A running database.
pub struct Database {
    reads: Arc<Queue<Job>>,
    writes: Arc<Queue<Job>>,
    active: Arc<AtomicU32>,
    capabilities: Capabilities,
    samples: watch::Receiver<Sample>,
    /// Dropped to end the observer.
    observed: mpsc::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a database thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the thread `{name}` could not be started")]
pub struct NoThread {
    name: String,
    #[source]
    source: std::io::Error,
}

impl Database {
    /// Starts the threads over open connections. `queue` bounds how many calls wait for each kind of thread.
    pub fn start(connections: Connections, queue: usize) -> Result<Self, NoThread> {
        let Connections {
            writer,
            readers,
            observer,
            capabilities,
        } = connections;
        let (reads, writes) = (Arc::new(Queue::new(queue)), Arc::new(Queue::new(queue)));
        let active = Arc::new(AtomicU32::new(0));
        let mut threads = Vec::new();
        {
            let (writes, active) = (Arc::clone(&writes), Arc::clone(&active));
            threads.push(spawn("writer".to_owned(), move || {
                sqlite::writer::serve(writer, &writes, &active);
            })?);
        }
        for (nth, reader) in readers.into_iter().enumerate() {
            let (reads, active) = (Arc::clone(&reads), Arc::clone(&active));
            threads.push(spawn(format!("reader-{nth}"), move || {
                sqlite::reader::serve(reader, &reads, &active);
            })?);
        }
        let (sender, samples) = watch::channel(Sample {
            is_connected: true,
            latency: Duration::ZERO,
        });
        let (observed, stop) = mpsc::channel();
        threads.push(spawn("observer".to_owned(), move || {
            sqlite::observer::serve(&observer, &sender, &stop);
        })?);
        Ok(Self {
            reads,
            writes,
            active,
            capabilities,
            samples,
            observed,
            threads,
        })
    }

    /// Queues a call. When too many wait, one is answered 503: this one, or another's whose caller has more of them waiting.
    pub fn submit(&self, job: Job) {
        let queue = if job.plan.action().is_write() {
            &self.writes
        } else {
            &self.reads
        };
        if let Err(Job { plan: _, ticket }) = queue.push(job.ticket.lane(), job) {
            let detail = "too many calls wait for the database";
            ticket.answer(Err(Refusal::new(Code::Unavailable, Advice::Retry, detail)));
        }
    }

    /// What it can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How it answered when last asked, and when that changes.
    pub fn samples(&self) -> watch::Receiver<Sample> {
        self.samples.clone()
    }

    /// Connections that are at work.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Calls that wait.
    pub fn queued(&self) -> u32 {
        let waiting = self.reads.len().saturating_add(self.writes.len());
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    /// Answers what is queued, then closes the connections.
    pub fn stop(self) {
        self.reads.close();
        self.writes.close();
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
