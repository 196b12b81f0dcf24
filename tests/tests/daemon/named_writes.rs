//! Named writes that are cut off at every step of their course, at each request to the database and at each of its answers: the
//! connection is cut, also for every attempt that the worker makes by itself, or the worker is killed (`kill -9`). Whoever asks
//! again gets the first answer, and what was asked for is done once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dbal_servers::mariadb::{self, MariaDb};
use dbal_servers::postgres::{self, Postgres};
use dbal_servers::scissors::{Act, At, Scissors, Speech};
use dbal_tests::client::{Client, Refusal};
use dbal_tests::units::{Installed, Service, Unit};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// More requests than any of these writes has.
const MANY: usize = 40;
/// Attempts of the worker's at one write, or more.
const ALL: usize = 100;

/// Writes down what is done to notes, in the transaction that does it.
const WATCHED_BY_POSTGRESQL: &str = "CREATE TABLE written (what text); GRANT ALL ON written TO PUBLIC; \
     CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
     INSERT INTO written VALUES (tg_op || ' ' || coalesce(new.title, old.title)); RETURN NULL; END $$; \
     CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON \"Note\" FOR EACH ROW EXECUTE FUNCTION watch()";
const WATCHED_BY_MARIADB: &str = "CREATE TABLE written (what VARCHAR(200)); \
     CREATE TRIGGER made AFTER INSERT ON Note FOR EACH ROW INSERT INTO written VALUES (CONCAT('INSERT ', NEW.title)); \
     CREATE TRIGGER changed AFTER UPDATE ON Note FOR EACH ROW INSERT INTO written VALUES (CONCAT('UPDATE ', NEW.title)); \
     CREATE TRIGGER removed AFTER DELETE ON Note FOR EACH ROW INSERT INTO written VALUES (CONCAT('DELETE ', OLD.title))";
const WHAT_WAS_WRITTEN: &str = "SELECT what FROM written";

/// A kind of write that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Create,
    Update,
    Delete,
    CreateMany,
    Transaction,
}

const KINDS: [Kind; 5] = [
    Kind::Create,
    Kind::Update,
    Kind::Delete,
    Kind::CreateMany,
    Kind::Transaction,
];

/// A write, and a row that it is about, if that must be there before.
struct Write {
    kind: Kind,
    title: String,
    row: Option<Value>,
    author: String,
}

impl Write {
    fn call(&self, key: &str) -> (&'static str, Value) {
        let Self {
            kind,
            title,
            row,
            author,
        } = self;
        let (id, key) = (row, json!({"idempotencyKey": key}));
        match kind {
            Kind::Create => ("create", json!(["Note", {"title": title, "rank": 7}, key])),
            Kind::Update => ("update", json!(["Note", id, {"title": title}, key])),
            Kind::Delete => ("delete", json!(["Note", id, key])),
            Kind::CreateMany => (
                "createMany",
                json!(["Note", [{"title": format!("{title} a")}, {"title": format!("{title} b")}], key]),
            ),
            Kind::Transaction => {
                let note = json!({"method": "create", "params": ["Note", {"title": format!("{title} a")}]});
                let made = json!({"$ref": "0.id"});
                let comment = json!({"noteId": made, "authorId": author, "text": title});
                let comment = json!({"method": "create", "params": ["Comment", comment]});
                let change =
                    json!({"method": "update", "params": ["Note", made, {"title": format!("{title} b")}]});
                ("transaction", json!([[note, comment, change], key]))
            }
        }
    }

    /// What is written down of it, with its row.
    fn traces(&self) -> Vec<String> {
        let title = &self.title;
        match self.kind {
            Kind::Create => vec![format!("INSERT {title}")],
            Kind::Update => vec![format!("INSERT before {title}"), format!("UPDATE {title}")],
            Kind::Delete => vec![format!("INSERT before {title}"), format!("DELETE before {title}")],
            Kind::CreateMany => vec![format!("INSERT {title} a"), format!("INSERT {title} b")],
            Kind::Transaction => vec![format!("INSERT {title} a"), format!("UPDATE {title} b")],
        }
    }
}

/// A worker on a database behind scissors, its broker, and a client of theirs.
struct Scene {
    service: Service,
    worker: Arc<Mutex<Option<Unit>>>,
    _broker: Unit,
    client: Client,
    scissors: Scissors,
    author: String,
    figures: Figures,
    /// What must have been written down, each once.
    expected: Vec<String>,
}

/// What was asked for, and what came of it.
#[derive(Debug, Default)]
struct Figures {
    sent: usize,
    acknowledged: usize,
    cuts: usize,
    /// First answers: done, not done, nobody knows.
    done: usize,
    refused: usize,
    unknown: usize,
}

impl Scene {
    async fn on(database: &str, scissors: Scissors) -> Self {
        let service = Service::of(Installed::on(database));
        let worker = service.worker();
        let broker = service.broker();
        let client = service.client("alice").await;
        let author = service.installed.ready.users["alice"].user_id.clone();
        Self {
            service,
            worker: Arc::new(Mutex::new(Some(worker))),
            _broker: broker,
            client,
            scissors,
            author,
            figures: Figures::default(),
            expected: Vec::new(),
        }
    }

    /// Asks. Should the worker die of it, the next one is started, as a service manager does it.
    async fn ask(&mut self, (method, params): (&str, Value)) -> Result<Value, Refusal> {
        let Self {
            client,
            service,
            worker,
            ..
        } = self;
        let restart = async {
            loop {
                if locked(worker).is_none() {
                    let next = service.worker();
                    *locked(worker) = Some(next);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            told = client.call(method, params) => told,
            () = restart => unreachable!("it goes on for ever"),
        }
    }

    /// Asks until there is an answer that says more than that it is not there yet.
    async fn insist(&mut self, (method, params): (&str, Value)) -> Result<Value, Refusal> {
        let began = Instant::now();
        loop {
            match self.client.call(method, params.clone()).await {
                Err(refusal) if refusal.code == 503 && began.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                told => return told,
            }
        }
    }

    async fn write(&mut self, kind: Kind, title: String) -> Write {
        let row = match kind {
            Kind::Update | Kind::Delete => {
                let note = json!(["Note", {"title": format!("before {title}")}]);
                let made = self.client.call("create", note).await.unwrap();
                Some(made["id"].clone())
            }
            Kind::Create | Kind::CreateMany | Kind::Transaction => None,
        };
        let author = self.author.clone();
        Write {
            kind,
            title,
            row,
            author,
        }
    }

    /// One write that is cut there; whether it got so far. It is asked for until it is answered, and then once more.
    async fn cut(&mut self, kind: Kind, (at, nth, times): (At, usize, usize), act: &Act) -> bool {
        let name = format!("{kind:?} {at:?} {nth} of {times}");
        let write = self.write(kind, name.clone()).await;
        let call = write.call(&name);
        self.scissors.arm(at, nth, times, Arc::clone(act));
        let first = self.ask(call.clone()).await;
        let cuts = self.scissors.disarm();
        self.figures.sent += 1;
        self.figures.cuts += cuts;
        let answer = match first {
            Ok(answer) => {
                self.figures.done += 1;
                answer
            }
            Err(refusal) => {
                assert_eq!(refusal.code, 503, "{name}: {refusal:?}");
                if refusal.details["outcome"] == "unknown" {
                    self.figures.unknown += 1;
                } else {
                    self.figures.refused += 1;
                    assert_eq!(refusal.details["retryable"], true, "{name}: {refusal:?}");
                    self.is_not_done(&write).await;
                }
                let answer = self.insist(call.clone()).await;
                answer.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"))
            }
        };
        self.figures.acknowledged += 1;
        let again = self.insist(call).await;
        assert_eq!(again.as_ref(), Ok(&answer), "{name}");
        self.is_as_answered(&write, &answer).await;
        // What else is asked for under its name.
        let other = Write {
            title: format!("other {name}"),
            ..write
        };
        let (method, params) = match kind {
            // It has no other title.
            Kind::Delete => (
                "create",
                json!(["Note", {"title": other.title}, {"idempotencyKey": name}]),
            ),
            Kind::Create | Kind::Update | Kind::CreateMany | Kind::Transaction => other.call(&name),
        };
        let refused = self.insist((method, params)).await.unwrap_err();
        assert_eq!(
            (refused.code, &refused.details["fields"][0]["field"]),
            (422, &json!("idempotencyKey")),
            "{name}"
        );
        let written = Write { title: name, ..other };
        self.expected.extend(written.traces());
        cuts > 0
    }

    /// What was refused, and not called unknown, is not there.
    async fn is_not_done(&mut self, write: &Write) {
        let filter = json!(["Note", {"filter": {"title": {"startsWith": write.title}}}]);
        assert_eq!(
            self.insist(("count", filter)).await,
            Ok(json!(0)),
            "{}",
            write.title
        );
        if let Some(id) = &write.row {
            let row = self.insist(("read", json!(["Note", id]))).await.unwrap();
            assert_eq!(row["title"], json!(format!("before {}", write.title)));
        }
    }

    /// The answer tells what the rows tell.
    async fn is_as_answered(&mut self, write: &Write, answer: &Value) {
        let title = &write.title;
        let read = |entity: &str, row: &Value| ("read", json!([entity, row["id"]]));
        match write.kind {
            Kind::Create | Kind::Update => {
                assert_eq!(answer["title"], json!(title));
                assert_eq!(self.insist(read("Note", answer)).await.as_ref(), Ok(answer));
            }
            Kind::Delete => {
                assert_eq!(
                    answer,
                    &json!(true),
                    "{title}: the first answer, though the row is gone by now"
                );
                let gone = self.insist(("read", json!(["Note", write.row]))).await;
                assert_eq!(gone.map_err(|refusal| refusal.code), Err(404), "{title}");
            }
            Kind::CreateMany => {
                let filter = json!(["Note", {"filter": {"title": {"startsWith": title}}}]);
                assert_eq!(
                    (answer, &self.insist(("count", filter)).await.unwrap()),
                    (&json!(2), &json!(2))
                );
            }
            Kind::Transaction => {
                assert_eq!(answer[2]["title"], json!(format!("{title} b")));
                assert_eq!(
                    self.insist(read("Note", &answer[0])).await.as_ref(),
                    Ok(&answer[2])
                );
                assert_eq!(
                    self.insist(read("Comment", &answer[1])).await.as_ref(),
                    Ok(&answer[1])
                );
            }
        }
    }

    /// Cuts a write at its first, second, … until it passes uncut.
    async fn cut_everywhere(&mut self, kind: Kind, at: At, times: usize, act: &Act) {
        let mut nth = 1;
        while self.cut(kind, (at, nth, times), act).await {
            nth += 1;
            assert!(nth < MANY, "{kind:?} has no end");
        }
        // It begins, looks for an answer, does something, keeps its answer, commits.
        assert!(nth > 5, "{kind:?} has ended at {nth}");
    }

    /// What is in the database, told by a trigger there, is what was acknowledged.
    fn settle(&mut self, what: &str, written: &str) {
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for line in written.lines() {
            *found.entry(line).or_default() += 1;
        }
        let expected: BTreeMap<&str, usize> = self.expected.iter().map(|line| (line.as_str(), 1)).collect();
        println!(
            "{what}: {:?}; found {} traces of {}",
            self.figures,
            found.len(),
            expected.len()
        );
        assert_eq!(found, expected);
        assert_eq!(self.figures.sent, self.figures.acknowledged);
        assert!(self.figures.cuts > 0);
    }

    /// Kills the worker.
    fn killing(&self) -> Act {
        let worker = Arc::clone(&self.worker);
        Arc::new(move || {
            if let Some(worker) = locked(&worker).take() {
                worker.signal(Signal::SIGKILL);
                worker.ends_within(PATIENCE);
            }
        })
    }
}

impl Drop for Scene {
    /// The scissors, which go on for as long as the process does, know how to kill it, and so hold it.
    fn drop(&mut self) {
        drop(locked(&self.worker).take());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

async fn cut_off_at_every_step(mut scene: Scene, what: &str, written: impl Fn() -> String) {
    let only_cut: Act = Arc::new(|| {});
    for kind in KINDS {
        for at in [At::Request, At::Answer] {
            scene.cut_everywhere(kind, at, 1, &only_cut).await;
        }
    }
    // Whatever the worker tries by itself; and with an answer but for its end.
    scene
        .cut_everywhere(Kind::Create, At::Request, ALL, &only_cut)
        .await;
    scene
        .cut_everywhere(Kind::Update, At::EndOfAnswer, ALL, &only_cut)
        .await;
    scene.settle(what, &written());
    let Figures {
        done,
        refused,
        unknown,
        ..
    } = scene.figures;
    assert!(done > 0 && refused > 0 && unknown > 0, "all of them came up");
}

async fn killed_at_every_step(mut scene: Scene, what: &str, written: impl Fn() -> String) {
    let kill = scene.killing();
    scene.cut_everywhere(Kind::Create, At::Answer, 1, &kill).await;
    scene.settle(what, &written());
    assert_eq!(scene.figures.cuts + 1, scene.figures.sent, "all but the last");
}

/// The configuration of a database behind scissors.
fn behind(scissors: &Scissors, kind: &str, name: &str, password: &str) -> String {
    format!(
        "{{{kind}: {{host: 127.0.0.1, port: {}, database: {name}, user: {name}, password: \"{password}\", \
         ssl_mode: disable, pool_size: 4, create_tables: true}}}}",
        scissors.port()
    )
}

async fn on_postgresql() -> (Scene, impl Fn() -> String) {
    let server = Postgres::shared();
    let name = server.database();
    let scissors = Scissors::before(server.port(), Speech::Postgres);
    let database = behind(&scissors, "postgresql", &name, postgres::PASSWORD);
    let scene = Scene::on(&database, scissors).await;
    server.sql(&name, WATCHED_BY_POSTGRESQL);
    (scene, move || server.sql(&name, WHAT_WAS_WRITTEN))
}

async fn on_mariadb() -> (Scene, impl Fn() -> String) {
    let server = MariaDb::shared();
    let name = server.database();
    let scissors = Scissors::before(server.port(), Speech::Mysql);
    let database = behind(&scissors, "mysql", &name, mariadb::PASSWORD);
    let scene = Scene::on(&database, scissors).await;
    server.sql(&name, WATCHED_BY_MARIADB);
    (scene, move || server.sql(&name, WHAT_WAS_WRITTEN))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_write_whose_postgresql_is_cut_off_at_any_step_is_done_once_and_answered_alike() {
    let (scene, written) = on_postgresql().await;
    cut_off_at_every_step(scene, "cut off from PostgreSQL", written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_write_whose_mariadb_is_cut_off_at_any_step_is_done_once_and_answered_alike() {
    let (scene, written) = on_mariadb().await;
    cut_off_at_every_step(scene, "cut off from MariaDB", written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_write_whose_worker_is_killed_at_any_step_on_postgresql_is_done_once_and_answered_alike() {
    let (scene, written) = on_postgresql().await;
    killed_at_every_step(scene, "killed on PostgreSQL", written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_write_whose_worker_is_killed_at_any_step_on_mariadb_is_done_once_and_answered_alike() {
    let (scene, written) = on_mariadb().await;
    killed_at_every_step(scene, "killed on MariaDB", written).await;
}
