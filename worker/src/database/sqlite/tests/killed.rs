//! Named writes of a process that is killed in the middle of them: at each statement, at each row, before the commit, in the
//! middle of what it writes into the log, after it. Each time another process is asked the same, and then once more.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Isolation};
use dbal_shared::plan::{Action, Plan};
use dbal_shared::principal::Principal;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::database::beside::Beside;
use crate::database::running::{Running, told};
use crate::database::{Connections, sqlite};
use crate::fixture::{ALICE, Fixture, text, uuid};
use crate::job::What;
use crate::once::{Once, Request};
use crate::together::Step;

const ADMIN: (&str, &str) = (ALICE, "admin");
const NOW_MS: i64 = 1_705_314_600_000;
/// What makes a test a process that dies: a kind of write, where it ends, and the folder of the file.
const ORDER: &str = "DBAL_TEST_KILLED";
const TEST: &str = "a_named_write_whose_process_is_killed_at_any_step_is_done_once_and_answered_alike";
/// More steps than any of these writes has.
const MANY: usize = 100;
/// Bytes of the log between two deaths: some in the head of a page's record, most in a page.
const BYTES: usize = 1_777;

const KINDS: [&str; 5] = ["create", "update", "delete", "createMany", "transaction"];

/// Where the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At its so manieth step: a statement that it prepares, a row that it changes, the commit, and when that is in the log.
    Step(usize),
    /// When the log has so many bytes of the commit.
    Bytes(usize),
}

impl End {
    fn told(self) -> String {
        match self {
            Self::Step(nth) => format!("step {nth}"),
            Self::Bytes(count) => format!("bytes {count}"),
        }
    }

    fn of(told: &str) -> Self {
        match told.split_once(' ') {
            Some(("step", nth)) => Self::Step(nth.parse().unwrap()),
            Some(("bytes", count)) => Self::Bytes(count.parse().unwrap()),
            _ => panic!("{told}"),
        }
    }
}

/// A write about the row of this number, and its name.
struct Write<'a> {
    kind: &'a str,
    number: usize,
}

impl Write<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.kind, self.number)
    }

    /// Of the row that is there before.
    fn id(&self) -> String {
        format!("0199a000-0000-7000-8000-{:012}", self.number)
    }

    /// What is done, and whether it is what its name stands for.
    fn what(&self, beside: &Beside<'_>, is_it: bool) -> (What, Once) {
        let fixture = beside.fixture;
        let name = self.name();
        let slug = if is_it {
            name.clone()
        } else {
            format!("other {name}")
        };
        let note = |slug: &str| fixture.values("Note", &[("ownerId", uuid(ALICE)), ("slug", text(slug))]);
        let target = fixture.target("Note", "id", uuid(&self.id()));
        let projection = fixture.projection("Note", &["id", "slug"]);
        let create = |slug: &str| Action::Create {
            values: note(slug),
            projection: projection.clone(),
        };
        let update = Action::Update {
            target: target.clone(),
            values: fixture.values("Note", &[("slug", text(&slug))]),
            projection: projection.clone(),
        };
        let action = match self.kind {
            "delete" if is_it => Action::Delete { target },
            "create" | "delete" => create(&slug),
            "update" | "transaction" => update,
            "createMany" => Action::CreateMany {
                rows: vec![note(&slug), note(&format!("{slug} b"))],
            },
            other => panic!("{other}"),
        };
        let plan = fixture.plan(ADMIN, "Note", action.clone());
        let what = if self.kind == "transaction" {
            let made = fixture.plan(ADMIN, "Note", create(&format!("{slug} b")));
            beside.together(Isolation::default(), vec![Step::Ready(made), Step::Ready(plan)])
        } else {
            What::One(Box::new(plan))
        };
        let mut request = Request::new(Isolation::default());
        request.add(&Plan {
            entity: fixture.entity("Note").id,
            action,
        });
        let principal = Principal {
            id: Some(ALICE.to_owned()),
            ..Principal::default()
        };
        (what, Once::new(&name, &principal, request, NOW_MS).unwrap())
    }

    /// Whether it is done, as the file says it; never by halves.
    fn is_done(&self, file: &Connection) -> bool {
        let name = self.name();
        let slugs = |slug: &str| -> i64 {
            let count = "SELECT COUNT(*) FROM Note WHERE slug = ?";
            file.query_row(count, [slug], |row| row.get(0)).unwrap()
        };
        let before = slugs(&format!("before {name}"));
        let answers = "SELECT COUNT(*) FROM dbal_idempotency";
        let answers: i64 = file.query_row(answers, [], |row| row.get(0)).unwrap();
        let found = (slugs(&name), slugs(&format!("{name} b")), before);
        let (undone, done) = match self.kind {
            "create" => ((0, 0, 1), (1, 0, 1)),
            "update" => ((0, 0, 1), (1, 0, 0)),
            "delete" => ((0, 0, 1), (0, 0, 0)),
            "createMany" => ((0, 0, 1), (1, 1, 1)),
            "transaction" => ((0, 0, 1), (1, 1, 0)),
            other => panic!("{other}"),
        };
        // One answer for each write so far.
        let with_this = i64::try_from(self.number).unwrap();
        if found == undone {
            assert_eq!(
                answers.saturating_add(1),
                with_this,
                "{name}: an answer without the write"
            );
            return false;
        }
        assert_eq!((found, answers), (done, with_this), "{name}: half of it");
        true
    }

    /// The answer that the rows tell.
    fn answer(&self, file: &Connection) -> String {
        let row = |slug: &str| {
            let id = "SELECT id FROM Note WHERE slug = ?";
            let id: String = file.query_row(id, [slug], |row| row.get(0)).unwrap();
            format!("{{\"id\":\"{id}\",\"slug\":\"{slug}\"}}")
        };
        let name = self.name();
        match self.kind {
            "create" | "update" => row(&name),
            "delete" => "true".to_owned(),
            "createMany" => "2".to_owned(),
            "transaction" => format!("[{},{}]", row(&format!("{name} b")), row(&name)),
            other => panic!("{other}"),
        }
    }
}

/// Makes the connection end its process there.
fn end(connections: &mut sqlite::Connections, folder: &Path, end: End) {
    let (last, bytes) = match end {
        End::Step(last) => (last, None),
        End::Bytes(bytes) => (usize::MAX, Some(bytes)),
    };
    let steps = Arc::new(AtomicUsize::new(0));
    let step = move || {
        if steps.fetch_add(1, Ordering::Relaxed).saturating_add(1) == last {
            raise(Signal::SIGKILL).unwrap();
        }
    };
    let each = step.clone();
    let prepared = move |context: AuthContext<'_>| {
        let is_of_a_statement = matches!(
            context.action,
            AuthAction::Select
                | AuthAction::Insert { .. }
                | AuthAction::Update { .. }
                | AuthAction::Delete { .. }
                | AuthAction::Transaction { .. }
                | AuthAction::Savepoint { .. }
        );
        if is_of_a_statement {
            each();
        }
        Authorization::Allow
    };
    let writer = &mut connections.writer;
    writer.authorizer(Some(prepared)).unwrap();
    let each = step.clone();
    writer
        .update_hook(Some(move |_, _: &str, _: &str, _| each()))
        .unwrap();
    let (each, log) = (step.clone(), folder.join("test.sqlite-wal"));
    let committing = move || {
        each();
        if let Some(bytes) = bytes {
            // Whoever writes beyond this dies of SIGXFSZ, with what is before it written.
            let limit = log
                .metadata()
                .unwrap()
                .len()
                .saturating_add(u64::try_from(bytes).unwrap());
            setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
            setrlimit(Resource::RLIMIT_FSIZE, limit, limit).unwrap();
        }
        false
    };
    writer.commit_hook(Some(committing)).unwrap();
    let committed = move |_: &mut rusqlite::hooks::Wal, _| {
        step();
        Ok(())
    };
    writer.wal_hook(Some(committed)).unwrap();
}

/// What the process does that is to die.
fn die(order: &str) {
    let mut parts = order.split('\t');
    let mut part = || parts.next().unwrap();
    let (kind, number, at, folder) = (
        part(),
        part().parse().unwrap(),
        End::of(part()),
        Path::new(part()),
    );
    let fixture = Fixture::new();
    let mut connections = fixture.open_in(folder);
    end(&mut connections, folder, at);
    let running = Running::on(Connections::Sqlite(connections));
    let beside = Beside {
        fixture: &fixture,
        running: &running,
    };
    let (what, once) = Write { kind, number }.what(&beside, true);
    beside.submit(what, Some(once)).answer().unwrap();
    // Without having closed anything.
    std::process::exit(0);
}

/// Runs the process that dies, and tells whether it came to its end.
#[expect(
    clippy::disallowed_methods,
    reason = "a process of the test's own, to be killed"
)]
fn survives(order: &str) -> bool {
    let (_, module) = module_path!().split_once("::").unwrap();
    let said = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{TEST}")])
        .env(ORDER, order)
        .output()
        .unwrap();
    match said.status.signal().map(Signal::try_from) {
        Some(Ok(Signal::SIGKILL | Signal::SIGXFSZ)) => false,
        None if said.status.success() => true,
        _ => panic!("{order}: {said:?}"),
    }
}

/// What was asked for, and what came of it.
#[derive(Debug, Default)]
struct Figures {
    sent: usize,
    acknowledged: usize,
    killed: usize,
    /// Of those that were killed: what was done by then.
    done: usize,
}

/// One write after the other, each killed a little later than the one before, until one is not. Then the next way to die.
fn killed_everywhere(kind: &str) -> Figures {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let mut figures = Figures::default();
    let mut ends = (1..MANY).map(End::Step);
    let mut bytes = (0..MANY).map(|nth| End::Bytes(nth.saturating_mul(BYTES)));
    let mut is_in_log = false;
    loop {
        figures.sent = figures.sent.saturating_add(1);
        let number = figures.sent;
        let write = Write { kind, number };
        make_row(&fixture, &write);
        let at = if is_in_log { bytes.next() } else { ends.next() }.expect("it passes at last");
        let is_alive = survives(&format!("{kind}\t{number}\t{}\t{}", at.told(), folder.display()));

        // Another process finds what there is.
        let mut connections = fixture.open();
        let changes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&changes);
        let count = move |_, _: &str, table: &str, _| {
            counted.fetch_add(usize::from(table == "Note"), Ordering::Relaxed);
        };
        connections.writer.update_hook(Some(count)).unwrap();
        let file = Connection::open(folder.join("test.sqlite")).unwrap();
        let was_done = write.is_done(&file);
        let running = Running::on(Connections::Sqlite(connections));
        let beside = Beside {
            fixture: &fixture,
            running: &running,
        };
        let ask = |is_it| {
            let (what, once) = write.what(&beside, is_it);
            beside.submit(what, Some(once)).answer()
        };
        let answer = ask(true).unwrap().json;
        assert!(write.is_done(&file));
        assert_eq!(answer, write.answer(&file), "{kind} {at:?}");
        assert_eq!(changes.load(Ordering::Relaxed) == 0, was_done, "{kind} {at:?}");
        changes.store(0, Ordering::Relaxed);
        assert_eq!(ask(true).unwrap().json, answer);
        assert_eq!(told(&ask(false)), Some((Code::Invalid, Advice::OtherRequest)));
        assert_eq!(changes.load(Ordering::Relaxed), 0, "{kind} {at:?}");
        assert!(write.is_done(&file), "{kind} {at:?}");
        figures.acknowledged = figures.acknowledged.saturating_add(1);
        if !is_alive {
            figures.killed = figures.killed.saturating_add(1);
            figures.done = figures.done.saturating_add(usize::from(was_done));
            continue;
        }
        assert!(was_done, "{kind} {at:?}");
        if is_in_log {
            return figures;
        }
        is_in_log = true;
    }
}

/// The row that the write may be about.
fn make_row(fixture: &Fixture, write: &Write<'_>) {
    let sqlite::Connections { writer, .. } = fixture.open();
    let slug = format!("before {}", write.name());
    let sql =
        "INSERT INTO Note (id, ownerId, slug, state, createdAt, updatedAt) VALUES (?, ?, ?, 'draft', ?, ?)";
    let time = "2024-01-15T10:30:00.000Z";
    writer
        .execute(sql, (write.id(), ALICE, slug, time, time))
        .unwrap();
}

#[test]
fn a_named_write_whose_process_is_killed_at_any_step_is_done_once_and_answered_alike() {
    if let Ok(order) = std::env::var(ORDER) {
        die(&order);
    }
    let all = std::thread::scope(|scope| {
        let kinds = KINDS.map(|kind| (kind, scope.spawn(move || killed_everywhere(kind))));
        kinds.map(|(kind, figures)| (kind, figures.join().unwrap()))
    });
    for (kind, figures) in all {
        println!("{kind}: {figures:?}");
        let Figures {
            sent,
            acknowledged,
            killed,
            done,
        } = figures;
        assert_eq!((acknowledged, killed), (sent, sent - 2), "{kind}");
        // Most die before the commit is in the log, and at least one after.
        assert!(killed > 10 && (1..killed / 2).contains(&done), "{kind}");
    }
}
