//! The resident memory of both daemons, looked at fifty times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dbal_tests::processes::Process;

use super::stage::Stage;

const PAUSE: Duration = Duration::from_millis(20);

/// Resident memory, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resident {
    /// Of the broker.
    pub broker: f64,
    /// Of the worker.
    pub worker: f64,
}

/// Looks until it is dropped.
pub struct Watch {
    most: Arc<Most>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Most {
    broker_kib: AtomicU64,
    worker_kib: AtomicU64,
}

impl Resident {
    /// As it is now.
    pub fn of(broker: &Process, worker: &Process) -> Self {
        Self {
            broker: mib(broker.resident_kib()),
            worker: mib(worker.resident_kib()),
        }
    }
}

impl Watch {
    /// From now on.
    pub fn begin(stage: &Stage) -> Self {
        let (broker, worker) = (stage.daemon.broker(), stage.daemon.worker());
        let (most, is_over) = (Arc::new(Most::default()), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (most, is_over) = (Arc::clone(&most), Arc::clone(&is_over));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    most.broker_kib
                        .fetch_max(broker.resident_kib(), Ordering::Relaxed);
                    most.worker_kib
                        .fetch_max(worker.resident_kib(), Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
            })
        };
        Self {
            most,
            is_over,
            thread: Some(thread),
        }
    }

    /// The most that was seen.
    pub fn peak(&self) -> Resident {
        Resident {
            broker: mib(self.most.broker_kib.load(Ordering::Relaxed)),
            worker: mib(self.most.worker_kib.load(Ordering::Relaxed)),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the watch ends");
        }
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
