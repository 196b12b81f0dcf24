//! A running database in a test: plans go in as channels hand them over, answers come out as brokers get them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dbal_audit::{Durability, Journal};
use dbal_config::OnFailure;
use dbal_shared::fault::Code;
use dbal_shared::ids::CallId;
use dbal_shared::message::{Advice, Failure, Reply};
use dbal_sql::ValidPlan;
use tempfile::TempDir;

use super::sweep::Keeping;
use super::trouble::Trouble;
use super::{Connections, Database};
use crate::cache::Bounds;
use crate::fixture::memo;
use crate::job::{Control, Job, Outgoing, Task, Ticket, What};
use crate::ledger::{Ledger, Memo};

/// Longer than anything takes.
pub(super) const LONG: Duration = Duration::from_secs(25);

pub(super) struct Running {
    database: Option<(Database, JoinHandle<()>)>,
    ledger: Arc<Ledger>,
    calls: AtomicU64,
    folder: TempDir,
}

/// A call that is under way.
pub(super) struct Call {
    pub(super) control: Arc<Control>,
    answers: tokio::sync::mpsc::Receiver<Outgoing>,
}

impl Running {
    pub(super) fn on(connections: Connections) -> Self {
        Self::keeping(connections, Keeping::default())
    }

    pub(super) fn keeping(connections: Connections, keeping: Keeping) -> Self {
        Self::of(connections, keeping, None)
    }

    /// With answers that are kept.
    pub(super) fn caching(connections: Connections, terms: Bounds) -> Self {
        Self::of(connections, Keeping::default(), Some(terms))
    }

    fn of(connections: Connections, keeping: Keeping, caching: Option<Bounds>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("audit"), Durability::Interval).unwrap();
        Self {
            database: Some(started(connections, keeping, caching)),
            ledger: Arc::new(Ledger::new(journal, OnFailure::Refuse)),
            calls: AtomicU64::new(0),
            folder,
        }
    }

    pub(super) fn database(&self) -> &Database {
        &self.database.as_ref().unwrap().0
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The folder of its audit trail.
    pub(super) fn audit(&self) -> std::path::PathBuf {
        self.folder.path().join("audit")
    }

    /// Hands a plan over; the answer comes when it comes.
    pub(super) fn submit(&self, plan: ValidPlan, budget: Duration) -> Call {
        let memo = memo(plan.action());
        let task = Task {
            what: What::One(Box::new(plan)),
            once: None,
        };
        self.submit_task(task, memo, budget)
    }

    /// The same for any task.
    pub(super) fn submit_task(&self, task: Task, memo: Memo, budget: Duration) -> Call {
        let (sender, answers) = tokio::sync::mpsc::channel(1);
        let control = Arc::new(Control::within(budget));
        let call = CallId(self.calls.fetch_add(1, Ordering::Relaxed));
        let ticket = Ticket::new(
            call,
            memo,
            Arc::clone(&control),
            sender.try_reserve_owned().unwrap(),
            Arc::new(AtomicUsize::new(0)),
            Arc::clone(&self.ledger),
        );
        self.database().submit(Job { task, ticket });
        Call { control, answers }
    }

    pub(super) fn call(&self, plan: ValidPlan) -> Result<Reply, Failure> {
        self.submit(plan, LONG).answer()
    }

    /// As [`super::cases::Bench::run`] wants it.
    pub(super) fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        self.call(plan.clone()).map_err(|failure| {
            let Failure {
                code,
                fields,
                advice,
                at: _,
            } = failure;
            if fields.is_empty() {
                let detail = String::new();
                Trouble::Database { code, advice, detail }
            } else {
                let described = String::new();
                Trouble::Fields {
                    code,
                    fields,
                    described,
                }
            }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((database, thread)) = self.database.take() {
            database.stop();
            thread.join().unwrap();
        }
    }
}

/// The thread is what the worker's is for an adapter that needs none of its own.
fn started(
    connections: Connections,
    keeping: Keeping,
    caching: Option<Bounds>,
) -> (Database, JoinHandle<()>) {
    let (sender, started) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default());
        let (database, here) = Database::start(
            connections,
            crate::database::Waiting {
                most: 1_024,
                patience: std::time::Duration::from_secs(30),
            },
            keeping,
            caching,
        )
        .unwrap();
        sender.send(database).unwrap();
        runtime.unwrap().block_on(here);
    });
    (started.recv().unwrap(), thread)
}

impl Call {
    /// The answer, if it is there.
    pub(super) fn try_answer(&mut self) -> Option<Result<Reply, Failure>> {
        match self.answers.try_recv() {
            Ok(Outgoing::Answer { answer, .. }) => Some(answer.outcome),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    pub(super) fn answer(mut self) -> Result<Reply, Failure> {
        match self.answers.blocking_recv() {
            Some(Outgoing::Answer { answer, .. }) => answer.outcome,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn told(outcome: &Result<Reply, Failure>) -> Option<(Code, Advice)> {
    outcome
        .as_ref()
        .err()
        .map(|failure| (failure.code, failure.advice))
}
