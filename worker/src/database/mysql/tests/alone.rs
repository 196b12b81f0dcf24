//! Changes that are one statement and its own transaction: what is told of them where something goes wrong.

use std::thread::sleep;
use std::time::{Duration, Instant};

use dbal_config::SslMode;
use dbal_servers::mariadb::MariaDb;
use dbal_servers::mysql::MySql;
use dbal_servers::proxy::{Cable, Cut};
use dbal_shared::fault::Code;
use dbal_shared::message::{Advice, Failure, Reply};
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::config;
use crate::database::Connections;
use crate::database::mysql::open;
use crate::database::running::{LONG, Running, told};
use crate::fixture::{ALICE, BOB, Fixture, text, uuid};

/// In no text of a statement, and in the values of one only.
const SLUG: &str = "goes-by-the-cable";
const ID: &str = "0199a000-0000-7000-8000-0000000000ff";
const UNKNOWN: Option<(Code, Advice)> = Some((Code::Unavailable, Advice::OutcomeUnknown));

/// A worker with one connection, and Alice.
struct Desk<'a> {
    fixture: Fixture,
    server: &'a MariaDb,
    name: String,
    running: Running,
}

/// What was silent for a moment, because something held up this process, is not used for a statement that is its own transaction.
fn in_some_try(mut is_so: impl FnMut(u32) -> bool) -> bool {
    (0..5).any(&mut is_so)
}

impl<'a> Desk<'a> {
    fn at(server: &'a MariaDb, port: Option<u16>) -> Self {
        let fixture = Fixture::new();
        let name = server.database();
        let mut config = config(server, &name);
        config.pool_size = 1;
        if let Some(port) = port {
            config.port = port;
            config.ssl_mode = SslMode::Disable;
        }
        let connections = open(&config, fixture.policy.schema()).unwrap();
        server.sql(
            &name,
            &format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice'), ('{BOB}', 'bobby')"),
        );
        Self {
            fixture,
            server,
            name,
            running: Running::on(Connections::Mysql(connections)),
        }
    }

    fn create(&self, role: &str, slug: &str) -> ValidPlan {
        let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
        let action = Action::Create {
            values: self.fixture.values("Note", &values),
            projection: self.fixture.projection("Note", &["slug", "state"]),
        };
        self.fixture.plan((ALICE, role), "Note", action)
    }

    fn delete(&self) -> ValidPlan {
        let target = self.fixture.target("Note", "id", uuid(ID));
        self.fixture
            .plan((ALICE, "admin"), "Note", Action::Delete { target })
    }

    fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql).trim().to_owned()
    }

    fn count(&self) -> String {
        self.sql("SELECT COUNT(*) FROM Note")
    }

    /// Prepares what is sent, so that nothing but the statement itself stands before its end.
    fn warm(&self) {
        self.running.call(self.create("admin", "warm")).unwrap();
        self.sql(&format!("UPDATE Note SET id = '{ID}'"));
    }

    /// A call on a connection that answered a moment ago.
    fn at_once(&self, plan: ValidPlan) -> Result<Reply, Failure> {
        let filter = Predicate::True;
        let count = self
            .fixture
            .plan((ALICE, "admin"), "Note", Action::Count { filter });
        self.running.call(count).unwrap();
        self.running.call(plan)
    }

    fn transactions(&self) -> String {
        let told = self.sql("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_begin', 'Com_commit')");
        told.replace('\n', " ")
    }
}

#[test]
fn a_create_and_a_delete_are_one_statement_each_and_an_update_needs_no_look_before() {
    // Of its own, since it counts what others do as well.
    let server = MariaDb::start();
    let desk = Desk::at(&server, None);
    desk.running.call(desk.create("admin", "warm")).unwrap();
    assert!(in_some_try(|nth| {
        let slug = format!("a{nth}");
        let before = desk.transactions();
        let row = desk.at_once(desk.create("user", &slug)).unwrap();
        let is_one = desk.transactions() == before;
        let expected = format!(r#"{{"slug":"{slug}","state":"draft"}}"#);
        assert_eq!((row.json, row.rows), (expected, 1));
        desk.sql(&format!("UPDATE Note SET id = '{ID}' WHERE slug = '{slug}'"));
        let before = desk.transactions();
        assert_eq!(desk.at_once(desk.delete()).unwrap().json, "true");
        assert_eq!(desk.at_once(desk.delete()).unwrap().json, "false");
        is_one && desk.transactions() == before
    }));
    assert_eq!(desk.count(), "1");
    let update = Action::Update {
        target: desk.fixture.target("User", "id", uuid(BOB)),
        values: desk.fixture.values("User", &[("username", text("robert"))]),
        projection: desk.fixture.projection("User", &["username"]),
    };
    let reads = || desk.sql("SHOW GLOBAL STATUS LIKE 'Com_select'");
    let count = |told: String| -> u64 { told.split_whitespace().last().unwrap().parse().unwrap() };
    let before = count(reads());
    let update = desk.fixture.plan((ALICE, "admin"), "User", update);
    assert_eq!(
        desk.running.call(update).unwrap().json,
        r#"{"username":"robert"}"#
    );
    assert_eq!(count(reads()) - before, 1);
}

/// Whether the server did it or not, nobody does it again, and the caller is told that it is not known.
#[test]
fn a_cable_cut_at_a_change_that_is_its_own_transaction_leaves_the_outcome_unknown_and_is_told_so() {
    const CREATE: (&[u8], bool) = (SLUG.as_bytes(), true);
    const DELETE: (&[u8], bool) = (ID.as_bytes(), false);
    let mysql: &MariaDb = MySql::shared();
    for (cut, is_done) in [(Cut::Before, false), (Cut::After, true)] {
        for (server, (word, is_create)) in [
            (MariaDb::shared(), CREATE),
            (MariaDb::shared(), DELETE),
            // MySQL answers no rows, so a row is not made alone there.
            (mysql, DELETE),
        ] {
            let is_told = in_some_try(|_| {
                let cable = Cable::new(server.port(), word, cut);
                let desk = Desk::at(server, Some(cable.port()));
                desk.warm();
                cable.arm();
                let outcome = desk.at_once(if is_create {
                    desk.create("admin", SLUG)
                } else {
                    desk.delete()
                });
                assert!(cable.is_cut());
                if outcome.is_ok() {
                    return false;
                }
                assert_eq!(told(&outcome), UNKNOWN, "{cut:?}");
                // What was sent may be on its way.
                sleep(Duration::from_millis(400));
                let expected = match (is_create, is_done) {
                    (true, true) => "2",
                    (true | false, false) => "1",
                    (false, true) => "0",
                };
                assert_eq!(desk.count(), expected, "{cut:?} {is_create}");
                // The next one is served as ever.
                desk.running.call(desk.create("admin", "next")).unwrap();
                true
            });
            assert!(is_told, "{cut:?} {is_create}");
        }
    }
}

/// What the server says that it undid is done again; of what it says while it commits nobody knows.
#[test]
fn what_the_server_undid_is_done_again_and_what_it_may_have_done_is_not() {
    const INTERRUPTED: &[u8] = b"\x12\x00\x00\x01\xff\x25\x05#70100interrupt";
    const DEADLOCK: &[u8] = b"\x11\x00\x00\x01\xff\xbd\x04#40001deadlock";
    const DURING_COMMIT: &[u8] = b"\x0f\x00\x00\x01\xff\x9c\x04#HY000commit";
    const NOBODY_KNOWS: &[u8] = b"\x0f\x00\x00\x01\xff\x02\x04#HY000engine";
    for (answer, expected) in [
        (INTERRUPTED, None),
        (DEADLOCK, None),
        (DURING_COMMIT, UNKNOWN),
        (NOBODY_KNOWS, Some((Code::Internal, Advice::OutcomeUnknown))),
    ] {
        assert!(
            in_some_try(|_| {
                let cable = Cable::new(MariaDb::shared().port(), SLUG.as_bytes(), Cut::Answered(answer));
                let desk = Desk::at(MariaDb::shared(), Some(cable.port()));
                desk.warm();
                cable.arm();
                let outcome = desk.at_once(desk.create("admin", SLUG));
                assert!(cable.is_cut());
                let count = if expected.is_none() { "2" } else { "1" };
                (told(&outcome), desk.count().as_str()) == (expected, count)
            }),
            "{answer:?}"
        );
    }
}

#[test]
fn a_create_that_waits_for_a_lock_is_stopped_at_its_deadline_and_known_not_to_be_done() {
    let desk = Desk::at(MariaDb::shared(), None);
    desk.warm();
    // The owner of what is made is locked.
    let mut holder = desk.server.background(
        &desk.name,
        "START TRANSACTION; SELECT * FROM User FOR UPDATE; SELECT SLEEP(20)",
    );
    let sleeping = format!(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}' AND INFO = 'SELECT SLEEP(20)'",
        desk.name
    );
    let began = Instant::now();
    while desk.sql(&sleeping).is_empty() {
        assert!(began.elapsed() < LONG);
    }
    for _ in 0..2 {
        let budget = Duration::from_millis(400);
        let outcome = desk.running.submit(desk.create("admin", SLUG), budget).answer();
        assert_eq!(told(&outcome), Some((Code::Timeout, Advice::Retry)));
    }
    desk.sql(&format!("KILL {}", desk.sql(&sleeping)));
    holder.wait().unwrap();
    desk.running.call(desk.create("admin", "after")).unwrap();
    assert_eq!(desk.count(), "2");
}

/// Nothing can be told apart on a connection that died: so what was silent for a moment is asked first whether it lives.
#[test]
fn a_connection_that_died_while_nobody_used_it_is_noticed_by_nobody() {
    let desk = Desk::at(MariaDb::shared(), None);
    desk.warm();
    for slug in ["a", "b"] {
        let ours = format!(
            "SELECT GROUP_CONCAT(CONCAT('KILL ', ID) SEPARATOR ';') FROM information_schema.PROCESSLIST WHERE USER = '{}'",
            desk.name
        );
        desk.sql(&desk.sql(&ours));
        sleep(Duration::from_millis(300));
        desk.running.call(desk.create("admin", slug)).unwrap();
    }
    assert_eq!(desk.count(), "3");
}

/// The row as a trigger leaves it is what is judged, and what is answered.
#[test]
fn a_row_that_a_trigger_makes_what_may_not_be_is_not_there_and_another_is_answered_as_it_is() {
    let mysql: &MariaDb = MySql::shared();
    for (server, answers_rows) in [(MariaDb::shared(), true), (mysql, false)] {
        let desk = Desk::at(server, None);
        desk.warm();
        desk.sql(
            "CREATE TRIGGER other BEFORE INSERT ON Note FOR EACH ROW SET \
             NEW.state = IF(NEW.slug = 'a', 'locked', 'published'), NEW.id = IF(NEW.slug = 'key', UUID(), NEW.id)",
        );
        let outcome = desk.running.call(desk.create("user", "a"));
        assert_eq!(told(&outcome), Some((Code::Forbidden, Advice::Final)));
        assert_eq!(desk.count(), "1");
        let row = desk.running.call(desk.create("user", "b")).unwrap();
        assert_eq!(row.json, r#"{"slug":"b","state":"published"}"#);
        // An admin may write so.
        let row = desk.running.call(desk.create("admin", "a")).unwrap();
        assert_eq!(row.json, r#"{"slug":"a","state":"locked"}"#);
        assert_eq!(desk.count(), "3");
        // By the key that it was to have it is not found again.
        let outcome = desk.running.call(desk.create("admin", "key"));
        assert_eq!(outcome.is_ok(), answers_rows);
        assert_eq!(desk.count(), if answers_rows { "4" } else { "3" });
    }
}

#[test]
fn a_row_that_can_not_be_shown_is_not_said_to_have_failed() {
    let desk = Desk::at(MariaDb::shared(), None);
    desk.sql("CREATE TRIGGER spoilt BEFORE INSERT ON Sample FOR EACH ROW SET NEW.json = 'none'");
    let create = |id| {
        let action = Action::Create {
            values: desk.fixture.values("Sample", &[("id", Value::Int(id))]),
            projection: desk.fixture.projection("Sample", &["json"]),
        };
        desk.fixture.plan((ALICE, "admin"), "Sample", action)
    };
    assert!(in_some_try(|nth| {
        let outcome = desk.at_once(create(nth.into()));
        let is_there = desk.sql(&format!("SELECT COUNT(*) FROM Sample WHERE id = {nth}"));
        let told = told(&outcome);
        let is_alone = told == Some((Code::Internal, Advice::OutcomeUnknown));
        assert!(
            is_alone || told == Some((Code::Internal, Advice::Final)),
            "{told:?}"
        );
        // In a transaction it is undone.
        assert_eq!(is_there, if is_alone { "1" } else { "0" });
        is_alone
    }));
}

/// What a view shows is not what was written to it.
#[test]
fn a_row_that_a_view_does_not_show_is_not_made_through_it() {
    for server in [MariaDb::shared(), MySql::shared()] {
        let fixture = Fixture::new();
        let name = server.database();
        let config = config(server, &name);
        drop(open(&config, fixture.policy.schema()).unwrap());
        server.sql(
            &name,
            "RENAME TABLE Sample TO Samples; CREATE VIEW Sample AS SELECT * FROM Samples WHERE whole > 0",
        );
        let running = Running::on(Connections::Mysql(
            open(&config, fixture.policy.schema()).unwrap(),
        ));
        let create = |id, whole| {
            let values = [("id", id), ("whole", whole)].map(|(name, value)| (name, Value::Int(value)));
            let action = Action::Create {
                values: fixture.values("Sample", &values),
                projection: fixture.projection("Sample", &["id"]),
            };
            running.call(fixture.plan((ALICE, "admin"), "Sample", action))
        };
        assert_eq!(create(1, 1).unwrap().json, r#"{"id":1}"#);
        assert_eq!(told(&create(2, 0)), Some((Code::Forbidden, Advice::Final)));
        assert_eq!(server.sql(&name, "SELECT id FROM Samples").trim(), "1");
    }
}
