//! The thread that writes. Changes that wait together are committed together, each in a savepoint of its own, and nobody
//! hears of a success before the commit. Between them it removes answers that are kept no longer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Reply};
use dbal_sql::Dialect;
use rusqlite::{Connection, ErrorCode};

use super::open::BUSY;
use super::session::{self, command};
use super::sweep::Sweep;
use super::trouble::of_sqlite;
use super::watch::watched;
use crate::database::queue::{Bill, Queue};
use crate::database::sweep::Keeping;
use crate::database::timed;
use crate::job::{Job, Refusal};

/// Most changes of one commit. One sync of the disk is shared by so many; more would only make the first wait longer.
const GROUP: usize = 64;
/// How often it is looked, while another process holds the lock, whose time is over.
const LOOK: Duration = Duration::from_millis(50);

/// Serves until the queue is closed and empty, then moves the write-ahead log into the database file.
pub fn serve(
    mut connection: Connection,
    dialect: &'static Dialect,
    queue: &Queue<Job>,
    active: &AtomicU32,
    keeping: Keeping,
) {
    let mut sweep = Sweep::new(keeping);
    let mut bill = Bill::default();
    while let Some(jobs) = queue.take_until(GROUP, sweep.due()) {
        active.fetch_add(1, Ordering::Relaxed);
        for job in group(&mut connection, dialect, jobs, &mut bill) {
            group(&mut connection, dialect, vec![job], &mut bill);
        }
        active.fetch_sub(1, Ordering::Relaxed);
        queue.settle(&mut bill);
        sweep.step(&connection);
    }
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log stays beside the database file; nothing is lost");
    }
}

/// Runs changes in one transaction and answers them. Returns those that must be run again, each alone, because another
/// one took the whole transaction with it. What each took is on the bill; the commit is everybody's.
fn group(
    connection: &mut Connection,
    dialect: &'static Dialect,
    jobs: Vec<Job>,
    bill: &mut Bill,
) -> Vec<Job> {
    let mut jobs = begin(connection, jobs);
    if jobs.is_empty() {
        return Vec::new();
    }
    let mut done: Vec<(Job, Result<Reply, Refusal>)> = Vec::with_capacity(jobs.len());
    let mut rest = jobs.drain(..);
    while let Some(job) = rest.next() {
        let began = Instant::now();
        let outcome = in_savepoint(connection, dialect, &job);
        bill.add(job.ticket.lane(), began.elapsed());
        // An interrupted or starved statement may end the whole transaction (sqlite.org/lang_transaction.html, "Response
        // to errors within a transaction"). What the others did in it is gone: they run again without this one.
        if connection.is_autocommit() {
            job.answer(outcome.and_then(|_| Err(lost())));
            return done.into_iter().map(|(job, _)| job).chain(rest).collect();
        }
        done.push((job, outcome));
    }
    let committed = commit(connection);
    for (job, outcome) in done {
        job.answer(match (&committed, outcome) {
            (Ok(()), outcome) => outcome,
            // It failed by itself, but perhaps because of a row that now isn't there either.
            (Err(_), Err(_)) => Err(lost()),
            (Err(failed), Ok(_)) => Err(failed.clone()),
        });
    }
    Vec::new()
}

/// Begins a transaction for those whom somebody waits for; with none left there is none. IMMEDIATE: a lock that another process holds is
/// met here, before anything is done.
fn begin(connection: &Connection, mut jobs: Vec<Job>) -> Vec<Job> {
    let began = Instant::now();
    let outcome = loop {
        jobs = jobs.into_iter().filter_map(still_wanted).collect();
        if jobs.is_empty() {
            break Ok(());
        }
        let left = BUSY.saturating_sub(began.elapsed());
        let tried = connection
            .busy_timeout(LOOK.min(left))
            .and_then(|()| command(connection, "BEGIN IMMEDIATE"));
        match tried {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && !left.is_zero() => {}
            tried => break tried,
        }
    };
    if let Err(error) = connection.busy_timeout(BUSY) {
        tracing::warn!(%error, "a lock is not waited for");
    }
    let Err(error) = outcome else {
        return jobs;
    };
    let (code, advice) = of_sqlite(&error);
    for job in jobs {
        job.answer(Err(Refusal::new(
            code,
            advice,
            format!("no transaction: {error}"),
        )));
    }
    Vec::new()
}

fn still_wanted(job: Job) -> Option<Job> {
    match job.ticket.control().over() {
        None => Some(job),
        Some(refusal) => {
            job.answer(Err(refusal));
            None
        }
    }
}

fn in_savepoint(connection: &mut Connection, dialect: &'static Dialect, job: &Job) -> Result<Reply, Refusal> {
    let Job { task, ticket } = job;
    // Those before it took their time.
    if let Some(refusal) = ticket.control().over() {
        return Err(refusal);
    }
    command(connection, "SAVEPOINT one").map_err(|error| internal(&error))?;
    let outcome = timed(ticket.control(), || {
        watched(connection, ticket.control(), |connection| {
            session::write_task(connection, dialect, task, ticket.control())
        })
    });
    // What is short is done before anybody looks at the clock.
    let outcome = match ticket.control().over() {
        Some(refusal) if outcome.is_ok() => Err(refusal),
        Some(_) | None => outcome,
    };
    if connection.is_autocommit() {
        return outcome;
    }
    let settled = match &outcome {
        Ok(_) => command(connection, "RELEASE one"),
        Err(_) => command(connection, "ROLLBACK TO one").and_then(|()| command(connection, "RELEASE one")),
    };
    match settled {
        Ok(()) => outcome,
        // Half of this change may be in the transaction, so nothing of it may be committed.
        Err(error) => {
            let _ = command(connection, "ROLLBACK");
            Err(internal(&error))
        }
    }
}

fn commit(connection: &Connection) -> Result<(), Refusal> {
    let Err(error) = command(connection, "COMMIT") else {
        return Ok(());
    };
    if !connection.is_autocommit() {
        let _ = command(connection, "ROLLBACK");
    }
    tracing::error!(%error, "a commit failed");
    let (code, advice) = match error.sqlite_error_code() {
        // SQLite did not write the commit record.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (Code::Unavailable, Advice::Retry),
        Some(ErrorCode::DiskFull) => (Code::Quota, Advice::Retry),
        // The record may have reached the log although its sync failed.
        Some(_) | None => (Code::Unavailable, Advice::OutcomeUnknown),
    };
    Err(Refusal::new(code, advice, format!("commit: {error}")))
}

fn lost() -> Refusal {
    Refusal::new(
        Code::Unavailable,
        Advice::Retry,
        "the transaction was rolled back",
    )
}

fn internal(error: &rusqlite::Error) -> Refusal {
    let (code, advice) = of_sqlite(error);
    Refusal::new(code, advice, format!("savepoint: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::sqlite::Connections;
    use crate::fixture::{ALICE, Fixture, memo, text, uuid};
    use crate::job::{Control, Outgoing, Task, Ticket, What};
    use crate::ledger::Ledger;
    use crate::once::{Once, Request};
    use crate::session::Session;
    use crate::together::{Step, Transaction};
    use dbal_audit::{Durability, Journal};
    use dbal_config::OnFailure;
    use dbal_shared::ids::CallId;
    use dbal_shared::limits::IDEMPOTENCY_MS;
    use dbal_shared::message::{Failure, Isolation};
    use dbal_shared::plan::Action;
    use dbal_shared::principal::Principal;
    use dbal_sql::SQLITE;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::mpsc;

    const LONG: Duration = Duration::from_mins(1);

    struct Bench {
        fixture: Fixture,
        writer: Connection,
        other: Connection,
        ledger: Arc<Ledger>,
        sender: mpsc::Sender<Outgoing>,
        answers: mpsc::Receiver<Outgoing>,
    }

    impl Bench {
        fn new() -> Self {
            let fixture = Fixture::new();
            let Connections { writer, .. } = fixture.open();
            let other = Connection::open(fixture.folder.path().join("test.sqlite")).unwrap();
            let journal = Journal::open(&fixture.folder.path().join("audit"), Durability::Interval).unwrap();
            let (sender, answers) = mpsc::channel(64);
            Self {
                fixture,
                writer,
                other,
                ledger: Arc::new(Ledger::new(journal, OnFailure::Refuse)),
                sender,
                answers,
            }
        }

        fn job(&self, call: u64, slugs: &[String], budget: Duration) -> Job {
            let row = |slug: &String| {
                let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
                self.fixture.values("Note", &values)
            };
            let action = Action::CreateMany {
                rows: slugs.iter().map(row).collect(),
            };
            let memo = memo(&action);
            // Before the clock starts: deciding about many rows takes its time, too.
            let plan = self.fixture.plan((ALICE, "user"), "Note", action);
            let ticket = Ticket::new(
                CallId(call),
                memo,
                Arc::new(Control::within(budget)),
                self.sender.clone().try_reserve_owned().unwrap(),
                Arc::new(AtomicUsize::new(0)),
                Arc::clone(&self.ledger),
            );
            let task = Task {
                what: What::One(Box::new(plan)),
                once: None,
            };
            Job { task, ticket }
        }

        /// Notes that are made together.
        fn together(&self, call: u64, slugs: &[&str]) -> Job {
            let steps = slugs.iter().map(|slug| {
                let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
                let action = Action::Create {
                    values: self.fixture.values("Note", &values),
                    projection: self.fixture.projection("Note", &["slug"]),
                };
                Step::Ready(self.fixture.plan((ALICE, "user"), "Note", action))
            });
            let session = Session {
                lane: crate::database::queue::Lane::of_nobody(""),
                principal: Principal::default(),
                subject: self.fixture.subject(ALICE, "user"),
                remote: String::new(),
                expires_at_ms: None,
                lookup: None,
            };
            let transaction = Transaction::new(
                Isolation::default(),
                steps.collect(),
                Arc::clone(&self.fixture.policy),
                Arc::new(crate::cursor::Cursors::new().unwrap()),
                Arc::new(session),
                0,
            );
            Job {
                task: Task {
                    what: What::Together(Box::new(transaction)),
                    once: None,
                },
                ..self.create(call, "")
            }
        }

        fn create(&self, call: u64, slug: &str) -> Job {
            self.job(call, &[slug.to_owned()], LONG)
        }

        /// As `serve` does.
        fn run(&mut self, jobs: Vec<Job>) {
            let mut bill = Bill::default();
            for job in group(&mut self.writer, &SQLITE, jobs, &mut bill) {
                group(&mut self.writer, &SQLITE, vec![job], &mut bill);
            }
        }

        /// The answers by call.
        fn answers(&mut self) -> Vec<(u64, Result<String, Failure>)> {
            let mut answers = Vec::new();
            while let Ok(Outgoing::Answer { answer, is_write }) = self.answers.try_recv() {
                assert!(is_write);
                answers.push((answer.call.0, answer.outcome.map(|reply| reply.json)));
            }
            answers.sort_by_key(|(call, _)| *call);
            answers
        }

        /// What another process finds in the file.
        fn slugs(&self) -> Vec<String> {
            let mut statement = self
                .other
                .prepare("SELECT slug FROM \"Note\" ORDER BY slug")
                .unwrap();
            let slugs = statement.query_map([], |row| row.get(0)).unwrap();
            slugs.map(Result::unwrap).collect()
        }
    }

    fn codes(answers: &[(u64, Result<String, Failure>)]) -> Vec<Option<(Code, Advice)>> {
        answers
            .iter()
            .map(|(_, outcome)| outcome.as_ref().err().map(|it| (it.code, it.advice)))
            .collect()
    }

    #[test]
    fn changes_that_are_committed_together_fail_each_for_itself() {
        let mut bench = Bench::new();
        let jobs = vec![bench.create(1, "a"), bench.create(2, "a"), bench.create(3, "b")];
        bench.run(jobs);
        let answers = bench.answers();
        assert_eq!(
            codes(&answers),
            [None, Some((Code::Conflict, Advice::Final)), None]
        );
        assert_eq!(bench.slugs(), ["a", "b"]);
    }

    #[test]
    fn a_transaction_that_fails_takes_none_of_the_changes_with_it_that_share_its_commit() {
        let mut bench = Bench::new();
        let jobs = vec![
            bench.create(1, "a"),
            bench.together(2, &["b", "c", "a", "d"]),
            bench.together(3, &["e", "f"]),
            bench.create(4, "b"),
        ];
        bench.run(jobs);
        let answers = bench.answers();
        assert_eq!(
            codes(&answers),
            [None, Some((Code::Conflict, Advice::Final)), None, None]
        );
        assert_eq!(answers[1].1.as_ref().unwrap_err().at, Some(2));
        assert_eq!(answers[2].1.as_deref(), Ok("[{\"slug\":\"e\"},{\"slug\":\"f\"}]"));
        assert_eq!(bench.slugs(), ["a", "b", "e", "f"]);
    }

    #[test]
    fn a_transaction_whose_caller_goes_away_in_the_middle_leaves_nothing_and_can_be_run_again() {
        let mut bench = Bench::new();
        let job = bench.together(1, &["a", "b", "c"]);
        let control = Arc::clone(job.ticket.control());
        let hook = move |_, _: &str, _: &str, _| control.cancel();
        bench.writer.update_hook(Some(hook)).unwrap();
        bench.run(vec![job]);
        assert_eq!(codes(&bench.answers()), [Some((Code::Timeout, Advice::Retry))]);
        assert!(bench.slugs().is_empty());
        // Another one loses its transaction to a neighbour, and is done on the second try.
        let many: Vec<String> = (0..1_000).map(|nth| format!("many-{nth}")).collect();
        let jobs = vec![bench.together(2, &["a", "b"]), bench.job(3, &many, LONG)];
        let control = Arc::clone(jobs[1].ticket.control());
        let mut rows = 0_u32;
        let hook = move |_, _: &str, _: &str, _| {
            rows = rows.saturating_add(1);
            if rows == 4 {
                control.cancel();
            }
        };
        bench.writer.update_hook(Some(hook)).unwrap();
        bench.run(jobs);
        assert_eq!(
            codes(&bench.answers()),
            [None, Some((Code::Timeout, Advice::Retry))]
        );
        assert_eq!(bench.slugs(), ["a", "b"]);
    }

    /// The same write, named, at this time.
    fn named(bench: &Bench, call: u64, slug: &str, now_ms: i64) -> Job {
        let principal = Principal {
            id: Some(ALICE.to_owned()),
            ..Principal::default()
        };
        let request = Request::new(Isolation::default());
        let Job { task, ticket } = bench.together(call, &[slug]);
        let once = Once::new("k", &principal, request, now_ms).unwrap();
        Job {
            task: Task {
                once: Some(Box::new(once)),
                ..task
            },
            ticket,
        }
    }

    #[test]
    fn after_a_crash_between_commit_and_answer_the_same_write_is_answered_and_not_done_again() {
        let mut bench = Bench::new();
        let job = named(&bench, 1, "a", 1_000);
        bench.run(vec![job]);
        let told = bench.answers();
        // Nobody was told. Another process opens the file, and is asked the same.
        let Connections { writer, .. } = bench.fixture.open();
        bench.writer = writer;
        let job = named(&bench, 2, "b", 2_000);
        bench.run(vec![job]);
        let again = bench.answers();
        assert_eq!(again[0].1, told[0].1);
        assert_eq!(again[0].1.as_deref(), Ok("[{\"slug\":\"a\"}]"));
        assert_eq!(bench.slugs(), ["a"]);
    }

    #[test]
    fn a_commit_that_fails_keeps_no_answer_either() {
        let mut bench = Bench::new();
        bench.writer.commit_hook(Some(|| true)).unwrap();
        let job = named(&bench, 1, "a", 1_000);
        bench.run(vec![job]);
        assert!(bench.answers()[0].1.is_err());
        bench.writer.commit_hook(None::<fn() -> bool>).unwrap();
        let job = named(&bench, 2, "b", 1_000);
        bench.run(vec![job]);
        assert_eq!(bench.answers()[0].1.as_deref(), Ok("[{\"slug\":\"b\"}]"));
        assert_eq!(bench.slugs(), ["b"]);
    }

    #[test]
    fn two_of_the_same_name_in_one_commit_are_one() {
        let mut bench = Bench::new();
        let jobs = vec![named(&bench, 1, "a", 1_000), named(&bench, 2, "a", 1_000)];
        bench.run(jobs);
        let answers = bench.answers();
        assert_eq!(answers[0].1, answers[1].1);
        assert_eq!((codes(&answers), bench.slugs().len()), (vec![None, None], 1));
    }

    #[test]
    fn an_answer_is_kept_for_a_day_and_then_swept() {
        let mut bench = Bench::new();
        let kept = |bench: &Bench| -> i64 {
            let count = "SELECT COUNT(*) FROM dbal_idempotency";
            bench.other.query_row(count, [], |row| row.get(0)).unwrap()
        };
        for (call, slug, now_ms, slugs) in [
            (1, "a", 1_000, 1),
            (2, "b", 1_000 + IDEMPOTENCY_MS, 1),
            (3, "c", 1_001 + IDEMPOTENCY_MS, 2),
        ] {
            let job = named(&bench, call, slug, now_ms);
            bench.run(vec![job]);
            assert_eq!(codes(&bench.answers()), [None]);
            assert_eq!((bench.slugs().len(), kept(&bench)), (slugs, 1), "{slug}");
        }
        // Others' old ones go, too, some at a time.
        for nth in 0..100 {
            let sql = "INSERT INTO dbal_idempotency VALUES (?, 'r', 'null', 0, ?)";
            bench.other.execute(sql, (format!("old {nth}"), nth)).unwrap();
        }
        let job = named(&bench, 4, "d", 2_000 + 3 * IDEMPOTENCY_MS);
        bench.run(vec![job]);
        assert_eq!(codes(&bench.answers()), [None]);
        assert_eq!(kept(&bench), 1 + 100 - 64);
    }

    /// Serves without any call for as long as `is_so` says no.
    fn idle(bench: Bench, answers_ms: i64, is_so: impl Fn(&Connection) -> bool) -> Bench {
        let keeping = Keeping {
            answers_ms,
            sweep_every: Duration::from_millis(50),
        };
        let Bench { writer, other, .. } = bench;
        let queue = Queue::new(1);
        std::thread::scope(|scope| {
            scope.spawn(|| serve(writer, &SQLITE, &queue, &AtomicU32::new(0), keeping));
            let began = std::time::Instant::now();
            while !is_so(&other) && began.elapsed() < LONG {
                std::thread::sleep(Duration::from_millis(10));
            }
            queue.close();
        });
        let Connections { writer, .. } = bench.fixture.open();
        Bench {
            writer,
            other,
            ..bench
        }
    }

    #[test]
    fn answers_that_are_kept_no_longer_are_removed_from_sqlite_though_nobody_writes() {
        const HOUR_MS: i64 = 3_600_000;
        let mut bench = Bench::new();
        let now = crate::generate::now_ms();
        let fresh = named(&bench, 1, "a", now - HOUR_MS / 2);
        bench.run(vec![fresh]);
        let told = bench.answers();
        for nth in 0..200 {
            let sql = "INSERT INTO dbal_idempotency VALUES (?, 'r', 'null', 0, ?)";
            let row = (format!("old {nth}"), now - 2 * HOUR_MS);
            bench.other.execute(sql, row).unwrap();
        }
        let count = |other: &Connection| -> i64 {
            let count = "SELECT COUNT(*) FROM dbal_idempotency";
            other.query_row(count, [], |row| row.get(0)).unwrap()
        };
        let mut bench = idle(bench, HOUR_MS, |other| count(other) == 1);
        assert_eq!(count(&bench.other), 1);
        // The one that is fresh enough still answers, and is no write of its own.
        let again = named(&bench, 2, "b", now);
        bench.run(vec![again]);
        assert_eq!(bench.answers()[0].1, told[0].1);
        assert_eq!(bench.slugs(), ["a"]);
        let bench = idle(bench, 1, |other| count(other) == 0);
        assert_eq!(count(&bench.other), 0);
    }

    #[test]
    fn what_changes_take_is_charged_to_their_caller() {
        let mut bench = Bench::new();
        let slugs: Vec<String> = (0..500).map(|nth| format!("n{nth}")).collect();
        let job = bench.job(1, &slugs, LONG);
        let (lane, mut bill) = (job.ticket.lane(), Bill::default());
        let began = Instant::now();
        assert!(group(&mut bench.writer, &SQLITE, vec![job], &mut bill).is_empty());
        let charged = bill.of(lane);
        assert!(!charged.is_zero() && charged <= began.elapsed(), "{charged:?}");
        assert_eq!(codes(&bench.answers()), [None]);
    }

    #[test]
    fn without_the_table_a_named_write_is_not_supported_and_not_done() {
        let mut bench = Bench::new();
        bench.other.execute_batch("DROP TABLE dbal_idempotency").unwrap();
        let jobs = vec![named(&bench, 1, "a", 1_000), bench.create(2, "b")];
        bench.run(jobs);
        let unsupported = Some((Code::Unsupported, Advice::Final));
        assert_eq!(codes(&bench.answers()), [unsupported, None]);
        assert_eq!(bench.slugs(), ["b"]);
    }

    #[test]
    fn a_change_that_is_interrupted_does_not_take_the_others_with_it() {
        let mut bench = Bench::new();
        let many: Vec<String> = (0..1_000).map(|nth| format!("many-{nth}")).collect();
        let jobs = vec![
            bench.create(1, "before"),
            bench.job(2, &many, LONG),
            bench.create(3, "after"),
        ];
        // The caller goes away while its third row is written: SQLite then rolls back everything.
        let control = Arc::clone(jobs[1].ticket.control());
        let mut rows = 0_u32;
        let hook = move |_, _: &str, _: &str, _| {
            rows = rows.saturating_add(1);
            if rows == 4 {
                control.cancel();
            }
        };
        bench.writer.update_hook(Some(hook)).unwrap();
        let again = group(&mut bench.writer, &SQLITE, jobs, &mut Bill::default());
        assert_eq!(
            again.len(),
            2,
            "the interrupted change took the transaction with it"
        );
        assert_eq!(codes(&bench.answers()), [Some((Code::Timeout, Advice::Retry))]);
        assert!(bench.slugs().is_empty());
        for job in again {
            bench.run(vec![job]);
        }
        assert_eq!(codes(&bench.answers()), [None, None]);
        assert_eq!(bench.slugs(), ["after", "before"]);
    }

    #[test]
    fn nobody_hears_of_a_success_before_the_commit() {
        let mut bench = Bench::new();
        bench.writer.commit_hook(Some(|| true)).unwrap();
        let jobs = vec![bench.create(1, "a"), bench.create(2, "a")];
        bench.run(jobs);
        let answers = bench.answers();
        let unknown = Some((Code::Unavailable, Advice::OutcomeUnknown));
        assert_eq!(
            codes(&answers),
            [unknown, Some((Code::Unavailable, Advice::Retry))]
        );
        assert!(bench.slugs().is_empty());
    }

    #[test]
    fn a_file_that_another_process_keeps_locked_is_answered_with_a_retry() {
        let mut bench = Bench::new();
        bench.other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let jobs = vec![bench.create(1, "a")];
        bench.run(jobs);
        assert_eq!(
            codes(&bench.answers()),
            [Some((Code::Unavailable, Advice::Retry))]
        );
        bench.other.execute_batch("ROLLBACK").unwrap();
        let jobs = vec![bench.create(2, "a")];
        bench.run(jobs);
        assert_eq!(codes(&bench.answers()), [None]);
    }

    #[test]
    fn who_waits_for_a_locked_file_is_answered_when_his_time_ends_and_the_others_go_on() {
        let mut bench = Bench::new();
        bench.other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let budget = Duration::from_millis(150);
        let jobs = vec![
            bench.job(1, &["a".to_owned()], budget),
            bench.create(2, "b"),
            bench.create(3, "c"),
        ];
        let cancelled = Arc::clone(jobs[2].ticket.control());
        let other = std::mem::replace(&mut bench.other, Connection::open_in_memory().unwrap());
        let holder = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            cancelled.cancel();
            std::thread::sleep(Duration::from_millis(300));
            other.execute_batch("ROLLBACK").unwrap();
            other
        });
        bench.run(jobs);
        bench.other = holder.join().unwrap();
        let late = Some((Code::Timeout, Advice::Retry));
        assert_eq!(codes(&bench.answers()), [late, None, late]);
        assert_eq!(bench.slugs(), ["b"]);
        let patience: i64 = bench
            .writer
            .query_row("PRAGMA busy_timeout", [], |row| row.get(0))
            .unwrap();
        assert_eq!(u128::try_from(patience).unwrap(), BUSY.as_millis());
    }

    #[test]
    fn whose_time_ends_while_others_of_his_group_are_at_work_is_not_served() {
        let mut bench = Bench::new();
        let jobs = vec![
            bench.create(1, "first"),
            bench.create(2, "late"),
            bench.create(3, "later"),
            bench.create(4, "last"),
        ];
        // The second's time ends before its turn comes, the third's while it is at work.
        let controls = [1, 2].map(|nth: usize| Arc::clone(jobs[nth].ticket.control()));
        let mut rows = 0_usize;
        let hook = move |_, _: &str, _: &str, _| {
            if let Some(control) = controls.get(rows) {
                control.cancel();
            }
            rows = rows.saturating_add(1);
        };
        bench.writer.update_hook(Some(hook)).unwrap();
        bench.run(jobs);
        let late = Some((Code::Timeout, Advice::Retry));
        assert_eq!(codes(&bench.answers()), [None, late, late, None]);
        assert_eq!(bench.slugs(), ["first", "last"]);
    }

    #[test]
    fn a_full_disk_is_told_as_such_and_the_others_go_on() {
        let mut bench = Bench::new();
        let pages: i64 = bench
            .writer
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        let limit = format!("PRAGMA max_page_count = {}", pages.saturating_add(2));
        bench.writer.query_row(&limit, [], |_| Ok(())).unwrap();
        let many: Vec<String> = (0..1_000).map(|nth| format!("many-{nth}")).collect();
        let jobs = vec![
            bench.create(1, "a"),
            bench.job(2, &many, LONG),
            bench.create(3, "b"),
        ];
        bench.run(jobs);
        assert_eq!(
            codes(&bench.answers()),
            [None, Some((Code::Quota, Advice::Retry)), None]
        );
        assert_eq!(bench.slugs(), ["a", "b"]);
    }

    #[test]
    fn a_cancelled_change_that_has_not_begun_does_not_begin() {
        let mut bench = Bench::new();
        let job = bench.create(1, "a");
        job.ticket.control().cancel();
        bench.run(vec![job]);
        assert_eq!(codes(&bench.answers()), [Some((Code::Timeout, Advice::Retry))]);
        assert!(bench.slugs().is_empty());
    }
}
