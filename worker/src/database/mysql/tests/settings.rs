//! What a server is set to, or says of itself, that changes nothing of what a call means.

use dbal_config::SslMode;
use dbal_servers::mariadb::MariaDb;
use dbal_servers::proxy::{Cable, Cut};
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::config;
use crate::database::Connections;
use crate::database::mysql::open;
use crate::database::running::{Running, told};
use crate::fixture::{ALICE, BOB, Fixture, json, text, uuid};

const ADMIN: (&str, &str) = (ALICE, "admin");

fn create(fixture: &Fixture, owner: &str, slug: &str, remark: &str) -> ValidPlan {
    let values = [
        ("ownerId", uuid(owner)),
        ("slug", text(slug)),
        ("remark", text(remark)),
    ];
    let action = Action::Create {
        values: fixture.values("Note", &values),
        projection: fixture.projection("Note", &["slug"]),
    };
    fixture.plan(ADMIN, "Note", action)
}

/// The same in a transaction of several statements.
fn create_many(fixture: &Fixture, slug: &str) -> ValidPlan {
    let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
    let rows = vec![fixture.values("Note", &values)];
    fixture.plan(ADMIN, "Note", Action::CreateMany { rows })
}

fn rank_all(fixture: &Fixture, rank: i64) -> ValidPlan {
    let action = Action::UpdateMany {
        filter: Predicate::True,
        values: fixture.values("Note", &[("rank", Value::Int(rank))]),
    };
    fixture.plan(ADMIN, "Note", action)
}

fn count(fixture: &Fixture) -> ValidPlan {
    let filter = Predicate::True;
    fixture.plan(ADMIN, "Note", Action::Count { filter })
}

/// A running database with Alice in it, by one connection.
fn running(server: &MariaDb, fixture: &Fixture, port: Option<u16>) -> (String, Running) {
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
        &format!("INSERT INTO User (id, username) VALUES ('{ALICE}', 'alice'); COMMIT"),
    );
    (name, Running::on(Connections::Mysql(connections)))
}

fn means_the_same_whatever(server: &MariaDb, settings: &str) {
    let fixture = Fixture::new();
    server.sql("", settings);
    let (name, running) = running(server, &fixture, None);
    for slug in ["a", "b", "c"] {
        running.call(create(&fixture, ALICE, slug, "")).unwrap();
    }
    assert_eq!(json(&running.call(rank_all(&fixture, 1)).unwrap()), 3);
    let list = fixture.list("Note", Predicate::True, &["slug"]);
    let list = json(&running.call(fixture.plan(ADMIN, "Note", list)).unwrap());
    assert_eq!(
        (list["data"].as_array().unwrap().len(), &list["total"]),
        (3, &3.into())
    );
    let orphan = running.call(create(&fixture, BOB, "d", ""));
    assert_eq!(
        told(&orphan),
        Some((Code::Invalid, Advice::Final)),
        "nobody is Bob"
    );
    // Nothing is seen as it was when the last transaction ended.
    server.sql(
        &name,
        "SET sql_safe_updates = 0; DELETE FROM Note WHERE slug = 'a'; COMMIT",
    );
    assert_eq!(json(&running.call(count(&fixture)).unwrap()), 2);
}

#[test]
fn what_a_server_is_set_to_for_all_sessions_changes_nothing_of_what_a_call_means() {
    const SETTINGS: &str = "
        SET GLOBAL sql_select_limit = 1; SET GLOBAL sql_safe_updates = 1; SET GLOBAL foreign_key_checks = 0; SET GLOBAL autocommit = 0;
        SET GLOBAL time_zone = '+05:00'; SET GLOBAL sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH';
        SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    for ending in ["CHAIN", "RELEASE"] {
        let server = MariaDb::start();
        let more = format!(
            "{SETTINGS}; SET GLOBAL completion_type = '{ending}'; SET GLOBAL check_constraint_checks = 0"
        );
        means_the_same_whatever(&server, &more);
    }
}

/// As a server of others could: it would get any file that the worker may read.
#[test]
fn a_server_that_asks_for_a_file_gets_none() {
    const FILE: &[u8] = b"\x0c\x00\x00\x01\xfb/etc/passwd";
    let (server, fixture) = (MariaDb::shared(), Fixture::new());
    let cable = Cable::new(server.port(), b"\x03START TRANSACTION", Cut::Answered(FILE));
    let (name, running) = running(server, &fixture, Some(cable.port()));
    running.call(create(&fixture, ALICE, "a", "")).unwrap();
    cable.arm();
    // The connection is given up, and what was to be done is done on another.
    running.call(create_many(&fixture, "b")).unwrap();
    assert!(cable.is_cut());
    assert_eq!(server.sql(&name, "SELECT COUNT(*) FROM Note").trim(), "2");
}

/// MySQL says so before it ends a connection, and whoever speaks next reads it as his answer.
#[test]
fn a_connection_that_was_idle_for_too_long_is_replaced_and_nobody_hears_of_it() {
    const IDLE: &[u8] = b"\x0d\x00\x00\x01\xff\xbf\x0f#HY000idle";
    let (server, fixture) = (MariaDb::shared(), Fixture::new());
    let cable = Cable::new(server.port(), b"\x03START TRANSACTION", Cut::Answered(IDLE));
    let (_, running) = running(server, &fixture, Some(cable.port()));
    cable.arm();
    running.call(create_many(&fixture, "a")).unwrap();
    assert!(cable.is_cut());
}

/// Whoever interrupts a commit does not say how far it came.
#[test]
fn a_commit_that_was_interrupted_is_told_as_unknown_and_not_tried_again() {
    const INTERRUPTED: &[u8] = b"\x12\x00\x00\x01\xff\x25\x05#70100interrupt";
    let (server, fixture) = (MariaDb::shared(), Fixture::new());
    let cable = Cable::new(server.port(), b"\x03COMMIT", Cut::Answered(INTERRUPTED));
    let (_, running) = running(server, &fixture, Some(cable.port()));
    cable.arm();
    let outcome = running.call(create_many(&fixture, "a"));
    assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::OutcomeUnknown)));
    assert!(cable.is_cut());
}

#[test]
fn what_is_larger_than_a_packet_of_the_server_is_too_large_and_the_next_call_is_served() {
    let (server, fixture) = (MariaDb::start(), Fixture::new());
    server.sql("", "SET GLOBAL max_allowed_packet = 1048576");
    let (name, running) = running(&server, &fixture, None);
    for size in [1_100_000, 3_000_000] {
        let outcome = running.call(create(&fixture, ALICE, "large", &"x".repeat(size)));
        assert_eq!(told(&outcome), Some((Code::TooLarge, Advice::Final)), "{size}");
        running.call(count(&fixture)).unwrap();
    }
    running
        .call(create(&fixture, ALICE, "small", &"x".repeat(900_000)))
        .unwrap();
    assert_eq!(
        server.sql(&name, "SELECT GROUP_CONCAT(slug) FROM Note").trim(),
        "small"
    );
}

#[test]
fn what_a_trigger_refuses_is_a_fault_of_what_was_written() {
    let (server, fixture) = (MariaDb::shared(), Fixture::new());
    let (name, running) = running(server, &fixture, None);
    server.sql(
        &name,
        "CREATE TRIGGER refuse BEFORE INSERT ON Note FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not so'",
    );
    let outcome = running.call(create(&fixture, ALICE, "a", ""));
    assert_eq!(told(&outcome), Some((Code::Invalid, Advice::Final)));
}
