//! What goes wrong around a server, on a real one: it is killed, it stalls, a cable is cut, a lock is held, nobody waits.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use dbal_audit::{Durability, Journal};
use dbal_config::{Mysql, OnFailure, SslMode};
use dbal_servers::mariadb::{MariaDb, PASSWORD};
use dbal_servers::mysql::MySql;
use dbal_servers::proxy::{Cable, Cut, Gate};
use dbal_servers::watch::assert_soon;
use dbal_shared::fault::Code;
use dbal_shared::ids::CallId;
use dbal_shared::message::{Advice, Failure};
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use tokio::sync::mpsc;

use super::{config, host};
use crate::database::Connections;
use crate::database::cases::{floods, races};
use crate::database::mysql::open;
use crate::database::running::Running;
use crate::fixture::{ALICE, Fixture, memo, text, uuid};
use crate::job::{Control, Job, Outgoing, Task, Ticket, What};
use crate::ledger::Ledger;

pub(super) const LONG: Duration = Duration::from_secs(20);

/// A whole database of the worker's: queues, connections, observer.
pub(super) struct Station {
    fixture: Fixture,
    running: Running,
    ledger: Arc<Ledger>,
    sender: mpsc::Sender<Outgoing>,
    answers: mpsc::Receiver<Outgoing>,
    calls: u64,
}

pub(super) type Answer = Result<String, Failure>;

impl Station {
    pub(super) fn new(config: &Mysql) -> Self {
        Self::after(config, || {})
    }

    /// The same; `change` happens after the look at the tables and before the connections are made that serve.
    pub(super) fn after(config: &Mysql, change: impl FnOnce()) -> Self {
        let fixture = Fixture::new();
        let connections = open(config, fixture.policy.schema()).unwrap();
        change();
        let journal = Journal::open(&fixture.folder.path().join("audit"), Durability::Interval).unwrap();
        let (sender, answers) = mpsc::channel(1_024);
        Self {
            fixture,
            running: Running::on(Connections::Mysql(connections)),
            ledger: Arc::new(Ledger::new(journal, OnFailure::Refuse)),
            sender,
            answers,
            calls: 0,
        }
    }

    /// Submits an admin's call on notes, and tells its number and how to take it back.
    fn submit(&mut self, action: Action, budget: Duration) -> (u64, Arc<Control>) {
        self.submit_to("Note", action, budget)
    }

    fn submit_to(&mut self, entity: &str, action: Action, budget: Duration) -> (u64, Arc<Control>) {
        self.calls = self.calls.saturating_add(1);
        let memo = memo(&action);
        let plan = self.fixture.plan((ALICE, "admin"), entity, action);
        let control = Arc::new(Control::within(budget));
        let ticket = Ticket::new(
            CallId(self.calls),
            memo,
            Arc::clone(&control),
            self.sender.clone().try_reserve_owned().unwrap(),
            Arc::new(AtomicUsize::new(0)),
            Arc::clone(&self.ledger),
        );
        let what = What::One(Box::new(plan));
        let task = Task { what, once: None };
        self.running.database().submit(Job { task, ticket });
        (self.calls, control)
    }

    fn answer(&mut self) -> (u64, Answer) {
        match self.answers.blocking_recv() {
            Some(Outgoing::Answer { answer, is_write: _ }) => {
                (answer.call.0, answer.outcome.map(|reply| reply.json))
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ask(&mut self, action: Action, budget: Duration) -> Answer {
        self.submit(action, budget);
        self.answer().1
    }

    /// Makes a sample, which no index has but its key's.
    pub(super) fn ask_for_sample(&mut self, id: i64) -> Answer {
        let values = [("id", Value::Int(id)), ("text", text(&"x".repeat(200)))];
        let action = Action::Create {
            values: self.fixture.values("Sample", &values),
            projection: self.fixture.projection("Sample", &["id"]),
        };
        self.submit_to("Sample", action, LONG);
        self.answer().1
    }

    pub(super) fn create(&self, slug: &str) -> Action {
        let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
        Action::Create {
            values: self.fixture.values("Note", &values),
            projection: self.fixture.projection("Note", &["slug"]),
        }
    }

    /// The same in a transaction of several statements.
    fn create_many(&self, slug: &str) -> Action {
        let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
        Action::CreateMany {
            rows: vec![self.fixture.values("Note", &values)],
        }
    }

    pub(super) fn count(&self) -> Action {
        Action::Count {
            filter: self.fixture.eq("Note", "ownerId", uuid(ALICE)),
        }
    }

    fn rank(&self, slugs: &[&str], rank: i64) -> Action {
        Action::UpdateMany {
            filter: Predicate::In {
                column: self.fixture.column("Note", "slug"),
                values: slugs.iter().map(|slug| text(slug)).collect(),
            },
            values: self.fixture.values("Note", &[("rank", Value::Int(rank))]),
        }
    }
}

/// A new database with Alice in it.
fn prepared(server: &MariaDb) -> (Mysql, Station) {
    prepared_in(server, &server.database())
}

/// The same in one that is there.
pub(super) fn prepared_in(server: &MariaDb, database: &str) -> (Mysql, Station) {
    let config = config(server, database);
    let station = Station::new(&config);
    let alice = format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice')");
    server.sql(&config.database, &alice);
    (config, station)
}

/// A client that holds a lock.
pub(super) struct Holder<'a> {
    server: &'a MariaDb,
    client: Child,
    /// The session's number on the server.
    session: String,
}

impl<'a> Holder<'a> {
    pub(super) fn of(server: &'a MariaDb, database: &str, lock: &str) -> Self {
        let client = server.background(database, &format!("{lock}; SELECT SLEEP(30)"));
        let sleeping = format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{database}' AND INFO = 'SELECT SLEEP(30)'"
        );
        let began = Instant::now();
        let mut session = String::new();
        while session.is_empty() {
            assert!(began.elapsed() < LONG);
            server.sql("", &sleeping).trim().clone_into(&mut session);
        }
        Self {
            server,
            client,
            session,
        }
    }

    fn let_go(mut self) {
        self.server.sql("", &format!("KILL {}", self.session));
        self.client.wait().unwrap();
    }
}

/// Statements of the database's user that run right now.
fn running(server: &MariaDb, database: &str) -> String {
    server.sql(
        "",
        &format!(
            "SELECT INFO FROM information_schema.PROCESSLIST WHERE USER = '{database}' AND COMMAND <> 'Sleep'"
        ),
    )
}

#[test]
fn a_statement_is_gone_from_the_server_when_its_deadline_passes_or_its_caller_leaves() {
    let server = MariaDb::shared();
    let (config, mut station) = prepared(server);
    station.ask(station.create("a"), LONG).unwrap();
    let late = Some((Code::Timeout, Advice::Retry));
    for (lock, action) in [
        ("LOCK TABLES Note WRITE", station.count()),
        (
            "START TRANSACTION; SELECT * FROM Note FOR UPDATE",
            station.rank(&["a"], 1),
        ),
    ] {
        let holder = Holder::of(server, &config.database, lock);
        let mut answered = [Duration::ZERO; 3];
        let after_deadlines = [0, 1, 2].map(|nth: usize| {
            let mut watch = server.watch(&config.database);
            let budget = Duration::from_secs(1);
            let (began, due) = (Instant::now(), SystemTime::now() + budget);
            station.submit(action.clone(), budget);
            watch.begun();
            let code = station.answer().1.err();
            answered[nth] = began.elapsed().saturating_sub(budget);
            assert_eq!(code.map(|failure| (failure.code, failure.advice)), late, "{lock}");
            watch.gone_after(due)
        });
        let after_leaving = [0, 1, 2].map(|_| {
            let mut watch = server.watch(&config.database);
            let (_, control) = station.submit(action.clone(), LONG);
            watch.begun();
            let left = SystemTime::now();
            control.cancel();
            assert!(station.answer().1.is_err());
            watch.gone_after(left)
        });
        assert_soon(&format!("{lock}: answered after the deadline"), answered.to_vec());
        assert_soon(
            &format!("{lock}: gone after the deadline"),
            after_deadlines.to_vec(),
        );
        assert_soon(
            &format!("{lock}: gone after the caller left"),
            after_leaving.to_vec(),
        );
        holder.let_go();
    }
    // The lines are as good as before.
    for _ in 0..20 {
        assert_eq!(station.ask(station.count(), LONG).unwrap(), "1");
    }
    assert_eq!(station.ask(station.rank(&["a"], 2), LONG).unwrap(), "1");
}

/// Behind one address there may be several servers, and each numbers its connections for itself.
#[test]
fn an_order_to_stop_goes_to_no_other_server() {
    const NAME: &str = "behind_a_gate";
    let server = MariaDb::shared();
    let other: &MariaDb = MySql::shared();
    for server in [server, other] {
        server.sql(
            "",
            &format!(
                "CREATE DATABASE {NAME}; CREATE USER {NAME}@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON {NAME}.* TO {NAME}@'%'"
            ),
        );
    }
    let gate = Gate::before(server.port());
    let mut config = config(server, NAME);
    config.host = vec![host("127.0.0.1", Some(gate.port()))];
    config.ssl_mode = SslMode::Disable;
    config.pool_size = 1;
    let mut station = Station::new(&config);
    assert_eq!(station.ask(station.count(), LONG).unwrap(), "0");
    let holder = Holder::of(server, NAME, "LOCK TABLES Note WRITE");
    let (_, control) = station.submit(station.count(), LONG);
    let began = Instant::now();
    while running(server, NAME).is_empty() {
        assert!(began.elapsed() < LONG);
    }
    // Who gives the orders has to connect again, and comes to the other.
    gate.lead_to(other.port());
    let idle =
        format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{NAME}' AND COMMAND = 'Sleep'");
    for number in server.sql("", &idle).lines() {
        server.sql("", &format!("KILL {number}"));
    }
    sleep(Duration::from_millis(1_300));
    let orders = || other.sql("", "SHOW GLOBAL STATUS LIKE 'Com_kill'");
    let before = orders();
    control.cancel();
    assert!(station.answer().1.is_err());
    sleep(Duration::from_millis(500));
    assert_eq!(orders(), before);
    holder.let_go();
    gate.lead_to(server.port());
    let began = Instant::now();
    while station.ask(station.count(), LONG).is_err() {
        assert!(began.elapsed() < LONG);
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_deadlock_is_tried_again_and_nobody_hears_of_it() {
    let server = MariaDb::shared();
    let (config, mut station) = prepared(server);
    for slug in ["a", "b"] {
        station.ask(station.create(slug), LONG).unwrap();
    }
    let ids = server.sql(&config.database, "SELECT id FROM Note ORDER BY id");
    let (first, second) = ids.trim().split_once('\n').unwrap();
    let deadlocks = || -> u64 {
        let told = server.sql("", "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'");
        told.split_whitespace().last().unwrap().parse().unwrap()
    };
    let before = deadlocks();
    // It has written more, so it is not the victim.
    let mut other = server.background(
        &config.database,
        &format!(
            "START TRANSACTION; INSERT INTO User SELECT UUID(), CONCAT('user', seq) FROM seq_1_to_200; \
             SELECT slug FROM Note WHERE id = '{second}' FOR UPDATE; SELECT SLEEP(2); \
             SELECT slug FROM Note WHERE id = '{first}' FOR UPDATE; COMMIT"
        ),
    );
    let locked = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND INFO LIKE 'SELECT SLEEP(2)%'",
        config.database
    );
    let began = Instant::now();
    while server.sql("", &locked).trim() != "1" {
        assert!(began.elapsed() < LONG, "it holds its lock");
        sleep(Duration::from_millis(10));
    }
    let keys = Action::UpdateMany {
        filter: Predicate::In {
            column: station.fixture.column("Note", "id"),
            values: [first, second].map(uuid).to_vec(),
        },
        values: station.fixture.values("Note", &[("rank", Value::Int(9))]),
    };
    assert_eq!(station.ask(keys, LONG).unwrap(), "2");
    assert!(other.wait().unwrap().success(), "the other one was the victim");
    assert!(deadlocks() > before, "there was no deadlock");
}

/// One that comes up again and again is no reason to hold the only connection.
#[test]
fn between_attempts_others_have_the_connection_and_the_deadline_ends_them() {
    let server = MariaDb::shared();
    let mut config = config(server, &server.database());
    config.pool_size = 1;
    let mut station = Station::new(&config);
    server.sql(
        &config.database,
        &format!(
            "INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice'); CREATE TABLE tries (n INT) ENGINE = MyISAM; \
             CREATE TRIGGER counts BEFORE INSERT ON Note FOR EACH ROW INSERT INTO tries VALUES (1); \
             CREATE TRIGGER meets BEFORE INSERT ON Note FOR EACH ROW FOLLOWS counts SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213"
        ),
    );
    assert_eq!(station.ask(station.count(), LONG).unwrap(), "0");
    let budget = Duration::from_secs(3);
    let began = Instant::now();
    let (unlucky, _) = station.submit(station.create("unlucky"), budget);
    let mut others = 0;
    loop {
        let (asked, _) = station.submit(station.count(), LONG);
        let (call, answer) = station.answer();
        if call == unlucky {
            assert!(answer.is_err());
            break;
        }
        assert_eq!((call, answer.unwrap().as_str()), (asked, "0"));
        others += 1;
        sleep(Duration::from_millis(10));
    }
    let took = began.elapsed();
    let tries = server.sql(&config.database, "SELECT COUNT(*) FROM tries");
    println!(
        "{others} others were served in {took:?} between {} attempts",
        tries.trim()
    );
    assert!(
        took >= budget.saturating_sub(Duration::from_millis(50)),
        "{took:?}"
    );
    assert!(took < budget + Duration::from_millis(500), "{took:?}");
    assert!(others > 20, "{others}");
    assert!(tries.trim().parse::<u32>().unwrap() > 10, "{tries}");
    assert!(station.ask_for_sample(1).is_ok());
}

#[test]
fn a_flood_of_one_kind_of_calls_lets_the_other_kind_through() {
    let server = MariaDb::shared();
    let mut config = config(server, &server.database());
    config.pool_size = 3;
    let fixture = Fixture::new();
    let connections = open(&config, fixture.policy.schema()).unwrap();
    let alice = format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice')");
    server.sql(&config.database, &alice);
    let running = Running::on(Connections::Mysql(connections));
    floods::a_flood_of_one_kind_of_calls_lets_the_other_kind_through(&running, &fixture, || {
        Unlocking(Some(Holder::of(
            server,
            &config.database,
            "LOCK TABLES Sample WRITE",
        )))
    });
}

/// Lets go when it is dropped.
pub(super) struct Unlocking<'a>(pub(super) Option<Holder<'a>>);

impl Drop for Unlocking<'_> {
    fn drop(&mut self) {
        if let Some(holder) = self.0.take() {
            holder.let_go();
        }
    }
}

#[test]
fn upserts_of_the_same_new_row_at_once_make_it_once() {
    on_eight_connections(
        MariaDb::shared(),
        races::upserts_of_the_same_new_row_at_once_make_it_once,
    );
}

#[test]
fn a_name_stands_for_one_request_however_many_come_at_once() {
    for server in [MariaDb::shared(), MySql::shared()] {
        on_eight_connections(
            server,
            races::a_name_stands_for_one_request_however_many_come_at_once,
        );
    }
}

fn on_eight_connections(server: &MariaDb, race: fn(&Running, &Fixture)) {
    let mut config = config(server, &server.database());
    config.pool_size = 8;
    let fixture = Fixture::new();
    let connections = open(&config, fixture.policy.schema()).unwrap();
    let alice = format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice')");
    server.sql(&config.database, &alice);
    let running = Running::on(Connections::Mysql(connections));
    race(&running, &fixture);
}

#[test]
fn a_stalled_server_holds_nobody_up_beyond_the_deadline_and_recovers() {
    let server = MariaDb::start();
    let (_, mut station) = prepared(&server);
    assert_eq!(station.ask(station.count(), LONG).unwrap(), "0");
    server.signal("STOP");
    let budget = Duration::from_secs(3);
    for action in [station.count(), station.create("stalled")] {
        let began = Instant::now();
        let failure = station.ask(action, budget).unwrap_err();
        // The second one may have no connection any more.
        assert!(
            matches!(failure.code, Code::Timeout | Code::Unavailable),
            "{failure:?}"
        );
        assert_eq!(failure.advice, Advice::Retry);
        let took = began.elapsed();
        assert!(took < Duration::from_millis(3_300), "{took:?}");
    }
    server.signal("CONT");
    let began = Instant::now();
    while station.ask(station.count(), LONG).is_err() {
        assert!(began.elapsed() < LONG);
        sleep(Duration::from_millis(50));
    }
    println!("recovered after {:?}", began.elapsed());
    // Nobody was told that it stands, and it does not.
    assert_eq!(station.ask(station.count(), LONG).unwrap(), "0");
}

#[test]
fn no_acknowledged_change_is_lost_and_none_is_done_twice_when_the_server_is_killed_under_load() {
    let server = MariaDb::start();
    let (config, mut station) = prepared(&server);
    let mut waiting: BTreeMap<u64, String> = BTreeMap::new();
    let (mut acknowledged, mut refused, mut unknown) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut after_restart = 0_u32;
    let began = Instant::now();
    let mut restart = None;
    let mut is_back = false;
    let mut nth = 0_u32;
    while began.elapsed() < Duration::from_secs(8) && after_restart < 500 || !waiting.is_empty() {
        if restart.is_none() && acknowledged.len() > 500 {
            server.kill();
            let running = std::thread::scope(|scope| {
                scope.spawn(|| {
                    sleep(Duration::from_millis(500));
                    server.launch();
                });
                // Meanwhile calls are refused at once, and their callers come again.
                while !server.answers() {
                    while waiting.len() < 32 {
                        nth = nth.saturating_add(1);
                        let slug = format!("n{nth}");
                        let (call, _) = station.submit(station.create(&slug), LONG);
                        waiting.insert(call, slug);
                    }
                    let (call, answer) = station.answer();
                    sort(
                        waiting.remove(&call).unwrap(),
                        answer,
                        &mut acknowledged,
                        &mut refused,
                        &mut unknown,
                    );
                    sleep(Duration::from_millis(1));
                }
                Instant::now()
            });
            restart = Some(running);
            is_back = true;
        }
        while waiting.len() < 32 && began.elapsed() < Duration::from_secs(8) && after_restart < 500 {
            nth = nth.saturating_add(1);
            let slug = format!("n{nth}");
            let (call, _) = station.submit(station.create(&slug), LONG);
            waiting.insert(call, slug);
        }
        if waiting.is_empty() {
            break;
        }
        let (call, answer) = station.answer();
        if is_back && answer.is_ok() {
            after_restart = after_restart.saturating_add(1);
        }
        if answer.is_err() {
            sleep(Duration::from_millis(1));
        }
        sort(
            waiting.remove(&call).unwrap(),
            answer,
            &mut acknowledged,
            &mut refused,
            &mut unknown,
        );
    }
    let found = server.sql(&config.database, "SELECT slug FROM Note");
    let found: BTreeSet<String> = found.lines().map(str::to_owned).collect();
    println!(
        "sent {nth}: acknowledged {}, refused {}, unknown {}; found {}, of the unknown {}; acknowledged after the restart {after_restart}",
        acknowledged.len(),
        refused.len(),
        unknown.len(),
        found.len(),
        unknown.intersection(&found).count()
    );
    assert!(restart.is_some() && after_restart > 0 && !refused.is_empty());
    assert!(acknowledged.is_subset(&found), "an acknowledged row is lost");
    assert!(found.is_disjoint(&refused), "a refused row is there");
    assert_eq!(
        usize::try_from(nth).unwrap(),
        acknowledged.len() + refused.len() + unknown.len()
    );
}

fn sort(
    slug: String,
    answer: Answer,
    acknowledged: &mut BTreeSet<String>,
    refused: &mut BTreeSet<String>,
    unknown: &mut BTreeSet<String>,
) {
    match answer {
        Ok(_) => acknowledged.insert(slug),
        Err(Failure {
            advice: Advice::OutcomeUnknown,
            ..
        }) => unknown.insert(slug),
        Err(failure) => {
            assert_eq!(
                (failure.code, failure.advice),
                (Code::Unavailable, Advice::Retry),
                "{slug}"
            );
            refused.insert(slug)
        }
    };
}

/// A worker that reaches the server through a cable, which is armed once Alice is there.
fn behind(cable: &Cable, server: &MariaDb, mut config: Mysql) -> Station {
    config.port = cable.port();
    config.ssl_mode = SslMode::Disable;
    let station = Station::new(&config);
    let alice = format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice')");
    server.sql(&config.database, &alice);
    cable.arm();
    station
}

#[test]
fn a_cable_cut_at_the_commit_leaves_the_outcome_unknown_and_is_told_so() {
    for (cut, expected) in [(Cut::Before, "0"), (Cut::After, "1")] {
        let server = MariaDb::shared();
        let cable = Cable::new(server.port(), b"\x03COMMIT", cut);
        let database = server.database();
        let mut station = behind(&cable, server, config(server, &database));
        let failure = station.ask(station.create_many("a"), LONG).unwrap_err();
        assert_eq!(
            (failure.code, failure.advice),
            (Code::Unavailable, Advice::OutcomeUnknown),
            "{cut:?}"
        );
        sleep(Duration::from_millis(400));
        let count = server.sql(&database, "SELECT COUNT(*) FROM Note");
        assert_eq!(count.trim(), expected, "{cut:?}");
        station.ask(station.create("b"), LONG).unwrap();
    }
}

/// Whatever stands between may refuse a commit that the server has not seen, and the next transaction would commit what is still open.
#[test]
fn a_commit_that_is_refused_is_rolled_back_before_another_try() {
    const LOCK_WAIT_TIMEOUT: &[u8] = b"\x12\x00\x00\x01\xff\xb5\x04#HY000Lock wait";
    let server = MariaDb::shared();
    let cable = Cable::new(server.port(), b"\x03COMMIT", Cut::Answered(LOCK_WAIT_TIMEOUT));
    let mut config = config(server, &server.database());
    config.pool_size = 1;
    let mut station = behind(&cable, server, config);
    // A second row of this name would be one too many.
    station.ask(station.create_many("a"), LONG).unwrap();
    assert!(cable.is_cut(), "it was never refused");
    assert_eq!(station.ask(station.count(), LONG).unwrap(), "1");
}

#[test]
fn a_cable_cut_before_the_commit_is_noticed_by_nobody() {
    for (word, cut) in [
        (b"START TRANSACTION".as_slice(), Cut::Before),
        (b"INSERT INTO".as_slice(), Cut::After),
        (b"SELECT COUNT".as_slice(), Cut::Before),
    ] {
        let server = MariaDb::shared();
        let cable = Cable::new(server.port(), word, cut);
        let mut config = config(server, &server.database());
        config.pool_size = 1;
        let mut station = behind(&cable, server, config);
        station.ask(station.create_many("a"), LONG).unwrap();
        assert_eq!(station.ask(station.count(), LONG).unwrap(), "1", "{cut:?}");
        assert!(cable.is_cut(), "it was never cut");
    }
}

#[test]
fn a_server_that_is_not_there_at_start_is_refused_with_its_name() {
    let server = MariaDb::shared();
    let database = server.database();
    let schema = Fixture::new();
    let complaint = |change: &dyn Fn(&mut Mysql)| {
        let mut config = config(server, &database);
        change(&mut config);
        match open(&config, schema.policy.schema()) {
            Ok(_) => "fine".to_owned(),
            Err(error) => dbal_daemon::causes(&error),
        }
    };
    assert_eq!(complaint(&|_| {}), "fine");
    let port = dbal_servers::keeper::free_port();
    let away = complaint(&|config| config.port = port);
    assert!(away.contains(&format!("localhost:{port}")), "{away}");
    let wrong = complaint(&|config| config.password = Some("wrong".into()));
    assert!(wrong.contains("Access denied"), "{wrong}");
    assert!(!wrong.contains("battery"), "{wrong}");
    let name = complaint(&|config| config.host = vec![host("no-such-host.invalid", None)]);
    assert!(name.contains("no-such-host.invalid"), "{name}");
}

#[test]
fn tls_is_what_the_configuration_asks_for() {
    let server = MariaDb::shared();
    let database = server.database();
    let fixture = Fixture::new();
    let other = tempfile::tempdir().unwrap();
    dbal_servers::certificate::write(other.path());
    let is_open = |change: &dyn Fn(&mut Mysql)| {
        let mut config = config(server, &database);
        change(&mut config);
        open(&config, fixture.policy.schema()).is_ok()
    };
    let stranger = || Some(other.path().join("ca.crt"));
    assert!(is_open(&|config| config.ssl_mode = SslMode::VerifyFull));
    assert!(
        !is_open(&|config| config.ca_file = stranger()),
        "another authority"
    );
    assert!(!is_open(&|config| {
        config.ssl_mode = SslMode::VerifyCa;
        config.ca_file = stranger();
    }));
    assert!(!is_open(&|config| {
        config.ssl_mode = SslMode::Require;
        config.ca_file = stranger();
    }));
    assert!(is_open(&|config| {
        config.ssl_mode = SslMode::Require;
        config.ca_file = None;
    }));
    for mode in [SslMode::Disable, SslMode::Prefer] {
        assert!(is_open(&|config| config.ssl_mode = mode));
    }
    assert!(is_open(&|config| config.host = vec![host("127.0.0.1", None)]));
    assert!(is_open(&|config| {
        config.host = Vec::new();
        config.socket = Some(server.socket());
    }));
}

/// Old answers go although nobody writes, more than one step removes, and others stay.
#[test]
fn answers_that_are_kept_no_longer_are_removed_from_mariadb_though_nobody_writes() {
    let server = MariaDb::shared();
    let config = config(server, &server.database());
    let connections = open(&config, Fixture::new().policy.schema()).unwrap();
    let execute = |sql: &str| server.sql(&config.database, sql);
    let count = || -> u64 {
        let count = server.sql(&config.database, "SELECT COUNT(*) FROM dbal_idempotency");
        count.trim().parse().unwrap()
    };
    let now = crate::generate::now_ms();
    for (count, created) in [(150, now - 7_200_000), (3, now - 1_800_000)] {
        for nth in 0..count {
            execute(&format!(
                "INSERT INTO dbal_idempotency VALUES ('{created} {nth}', 'r', 'null', 0, {created})"
            ));
        }
    }
    let keeping = crate::database::sweep::Keeping {
        answers_ms: 3_600_000,
        sweep_every: std::time::Duration::from_millis(100),
    };
    let _running = Running::keeping(Connections::Mysql(connections), keeping);
    let began = std::time::Instant::now();
    while count() != 3 {
        assert!(
            began.elapsed() < std::time::Duration::from_secs(20),
            "{}",
            count()
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(count(), 3);
}
