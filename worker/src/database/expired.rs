//! Rows whose time is over on a real database of each kind: they go, others stay, and what keeps one of them keeps no other.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_shared::plan::{Action, Assignment};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use dbal_sql::Places;
use serde_json::Value as Json;

use super::running::{LONG, Running};
use crate::cursor::Cursors;
use crate::expiry::{Course, Hands, Step};
use crate::fixture::{ALICE, Fixture, json, text};

const ADMIN: (&str, &str) = (ALICE, "admin");
/// When the rows of these tests are looked at.
const NOW: i64 = 1_700_000_000_000;
const LONG_AGO: i64 = NOW - 1_100;

const ENTITIES: &str = "
---
entity: Lease
fields:
  id:    {type: uuid, primary: true}
  until: {type: datetime, nullable: true}
ttl: {field: until, auto_delete: true}
cache: {ttl: 5m}
---
entity: Claim
fields:
  id:      {type: integer, primary: true}
  leaseId: {type: uuid, required: true, foreign_key: {entity: Lease, field: id, on_delete: restrict}}
---
entity: Pass
fields:
  id:    {type: string, primary: true, max_length: 40}
  until: {type: bigint, nullable: true}
ttl: {field: until, auto_delete: true}
";

const RULES: &str = r#"  - {id: leases, entity: Lease, roles: [admin], operations: [list, create], fields: {read: ["*"], write: ["*", id]}}
  - {id: claims, entity: Claim, roles: [admin], operations: [create, delete], fields: {read: ["*"], write: ["*", id]}}
  - {id: passes, entity: Pass, roles: [admin], operations: [list, create], fields: {read: ["*"], write: ["*", id]}}
"#;

/// With entities whose rows expire.
pub(super) fn fixture() -> Fixture {
    Fixture::with(ENTITIES, RULES)
}

/// What removes them, and one entity's course.
struct Sweeper<'a> {
    fixture: &'a Fixture,
    running: &'a Running,
    places: Arc<dyn Places>,
    runtime: tokio::runtime::Runtime,
    course: Course,
}

impl<'a> Sweeper<'a> {
    fn new(running: &'a Running, fixture: &'a Fixture, entity: &str) -> Self {
        Self {
            fixture,
            running,
            places: Arc::new(Cursors::new().unwrap()),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            course: Course::of(fixture.entity(entity)),
        }
    }

    fn step(&mut self, at: Instant) -> Step {
        let hands = Hands {
            schema: self.fixture.policy.schema(),
            database: self.running.database(),
            ledger: self.running.ledger(),
            places: &self.places,
            patience: LONG,
        };
        self.runtime.block_on(self.course.step(&hands, NOW, at))
    }

    /// All steps of a round.
    fn round(&mut self, at: Instant) -> usize {
        let more = std::iter::repeat_with(|| self.step(at)).take_while(|step| *step == Step::More);
        more.count().saturating_add(1)
    }

    /// What the audit has of it.
    fn records(&self) -> Vec<Json> {
        self.running.ledger().sync();
        records(&self.running.audit())
    }
}

/// What comes of one look.
pub(super) fn step(running: &Running, fixture: &Fixture, entity: &str) -> Step {
    Sweeper::new(running, fixture, entity).step(Instant::now())
}

fn records(folder: &Path) -> Vec<Json> {
    let mut records = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let lines = std::fs::read_to_string(path).unwrap();
            records.extend(
                lines
                    .lines()
                    .map(|line| serde_json::from_str::<Json>(line).unwrap()),
            );
        }
    }
    records.retain(|record| record["event"] == "expired");
    records
}

fn after(moment: Instant, span: Duration) -> Instant {
    moment.checked_add(span).unwrap()
}

fn lease(nth: u128) -> Value {
    Value::Uuid(uuid::Uuid::from_u128(nth).into_bytes())
}

fn make(running: &Running, fixture: &Fixture, entity: &str, rows: &[Vec<(&str, Value)>]) {
    for some in rows.chunks(500) {
        let rows: Vec<Vec<Assignment>> = some.iter().map(|row| fixture.values(entity, row)).collect();
        let action = Action::CreateMany { rows };
        running.call(fixture.plan(ADMIN, entity, action)).unwrap();
    }
}

fn ids(running: &Running, fixture: &Fixture, entity: &str) -> Vec<String> {
    let action = fixture.list(entity, Predicate::True, &["id"]);
    let reply = running.call(fixture.plan(ADMIN, entity, action)).unwrap();
    let rows = json(&reply)["data"].clone();
    let id = |row: &Json| row["id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = rows.as_array().unwrap().iter().map(id).collect();
    ids.sort();
    ids
}

fn lease_id(nth: u128) -> String {
    uuid::Uuid::from_u128(nth).to_string()
}

/// More than fit into one statement, one that is referred to, and those whose time is not over.
pub(super) fn rows_go_when_their_time_is_over_and_others_stay(running: &Running, fixture: &Fixture) {
    let expired = 1_100_u128;
    let until = |nth: u128| Value::Timestamp(LONG_AGO.saturating_add(i64::try_from(nth).unwrap()));
    let mut rows: Vec<Vec<(&str, Value)>> = (1..=expired + 1)
        .map(|nth| vec![("id", lease(nth)), ("until", until(nth))])
        .collect();
    rows.push(vec![("id", lease(9_999)), ("until", Value::Null)]);
    make(running, fixture, "Lease", &rows);
    let claim = vec![("id", Value::Int(1)), ("leaseId", lease(3))];
    make(running, fixture, "Claim", &[claim]);

    let mut sweeper = Sweeper::new(running, fixture, "Lease");
    let began = Instant::now();
    assert!(sweeper.round(began) >= 3);
    let held = [lease_id(3), lease_id(expired + 1), lease_id(9_999)];
    assert_eq!(ids(running, fixture, "Lease"), held);
    assert_eq!(
        (running.ledger().expired_rows().0, sweeper.course.held()),
        (1_099, 1)
    );
    let records = sweeper.records();
    let rows: u64 = records.iter().filter_map(|record| record["rows"].as_u64()).sum();
    assert_eq!(rows, 1_099, "{records:?}");
    let failed: Vec<&Json> = records
        .iter()
        .filter(|record| record["outcome"] == "failed")
        .collect();
    assert_eq!(failed.len(), 1, "{records:?}");
    assert_eq!(failed[0]["code"], 422, "{failed:?}");
    for record in &records {
        assert_eq!(
            (&record["principal"], &record["entity"], &record["operation"]),
            (&"dbal-worker".into(), &"Lease".into(), &"delete".into())
        );
        assert!(record["rows"].as_u64() <= Some(500), "{record}");
    }

    // It is not tried at each round, nor told, until an hour has passed; then it may go.
    assert_eq!(sweeper.round(began), 1);
    assert_eq!(
        (sweeper.records().len(), sweeper.course.held()),
        (records.len(), 1)
    );
    let action = Action::Delete {
        target: fixture.target("Claim", "id", Value::Int(1)),
    };
    running.call(fixture.plan(ADMIN, "Claim", action)).unwrap();
    sweeper.round(began);
    assert_eq!(ids(running, fixture, "Lease"), held);
    sweeper.round(after(began, Duration::from_hours(2)));
    assert_eq!(ids(running, fixture, "Lease"), held[1..]);
    assert_eq!(
        (running.ledger().expired_rows().0, sweeper.course.held()),
        (1_100, 0)
    );
}

/// Unix ms; what is too small for that is seconds, or 0 for never.
pub(super) fn a_number_that_is_no_time_in_milliseconds_expires_nothing(running: &Running, fixture: &Fixture) {
    let rows = [
        ("zero", Value::Int(0)),
        ("seconds", Value::Int(NOW / 1_000 - 60)),
        ("negative", Value::Int(-1)),
        ("over", Value::Int(NOW - 1)),
        ("now", Value::Int(NOW)),
        ("later", Value::Int(NOW + 1)),
        ("never", Value::Null),
    ]
    .map(|(id, until)| vec![("id", text(id)), ("until", until)]);
    make(running, fixture, "Pass", &rows);
    let mut sweeper = Sweeper::new(running, fixture, "Pass");
    assert_eq!(sweeper.round(Instant::now()), 1);
    assert_eq!(
        ids(running, fixture, "Pass"),
        ["later", "negative", "never", "seconds", "zero"]
    );
}

/// `reader` keeps answers; it may be another worker than the one that removes.
pub(super) fn kept_answers_are_let_go_of(sweeping: &Running, reader: &Running, fixture: &Fixture) {
    let rows = [(1, NOW - 1), (2, NOW + 1)]
        .map(|(nth, until)| vec![("id", lease(nth)), ("until", Value::Timestamp(until))]);
    make(sweeping, fixture, "Lease", &rows);
    let both = [lease_id(1), lease_id(2)];
    let began = Instant::now();
    let hits = || reader.database().cache().unwrap().sample().hits;
    while hits() < 3 {
        assert!(began.elapsed() < LONG, "nothing is kept");
        assert_eq!(ids(reader, fixture, "Lease"), both);
    }
    Sweeper::new(sweeping, fixture, "Lease").round(Instant::now());
    let began = Instant::now();
    while ids(reader, fixture, "Lease") != both[1..] {
        assert!(began.elapsed() < LONG, "an old answer is kept");
    }
}

/// So many that a round spends all its tries on them.
pub(super) fn rows_that_are_held_keep_no_others(running: &Running, fixture: &Fixture) {
    let rows: Vec<_> = (1..=250_u128)
        .map(|nth| vec![("id", lease(nth)), ("until", Value::Timestamp(NOW - 1))])
        .collect();
    make(running, fixture, "Lease", &rows);
    // All but each fifth.
    let claims: Vec<_> = (1..=250_u128)
        .filter(|nth| nth % 5 != 0)
        .map(|nth| {
            vec![
                ("id", Value::Int(i64::try_from(nth).unwrap())),
                ("leaseId", lease(nth)),
            ]
        })
        .collect();
    make(running, fixture, "Claim", &claims);
    let mut sweeper = Sweeper::new(running, fixture, "Lease");
    let began = Instant::now();
    let mut rounds = 0;
    while running.ledger().expired_rows().0 < 50 {
        rounds = u32::saturating_add(rounds, 1);
        assert!(rounds < 40, "{} of 50", running.ledger().expired_rows().0);
        sweeper.round(began);
    }
    assert!(rounds > 1, "a round is not bounded");
    sweeper.round(began);
    assert_eq!(sweeper.course.held(), 200);
    let told = sweeper
        .records()
        .iter()
        .filter(|record| record["outcome"] == "failed")
        .count();
    assert_eq!(told, 1);
}

/// Three times that were written by others, in the midst of 1,100 that are over; `behind` writes one under an id.
pub(super) fn a_row_whose_time_can_not_be_read_keeps_no_other(
    running: &Running,
    fixture: &Fixture,
    behind: &dyn Fn(&str),
) {
    let rows: Vec<_> = (1..=1_100_u128)
        .map(|nth| {
            // On either side of what sorts as if it were of the year 2000.
            let until = if nth % 2 == 0 { LONG_AGO } else { 1 };
            vec![("id", lease(nth)), ("until", Value::Timestamp(until))]
        })
        .collect();
    make(running, fixture, "Lease", &rows);
    let unread = [lease_id(20_001), lease_id(20_002), lease_id(20_003)];
    for id in &unread {
        behind(id);
    }

    let mut sweeper = Sweeper::new(running, fixture, "Lease");
    let began = Instant::now();
    assert!(sweeper.round(began) < 100);
    assert_eq!(
        (running.ledger().expired_rows().0, sweeper.course.held()),
        (1_100, 3)
    );
    let told = |sweeper: &Sweeper<'_>| {
        let failed = |record: &&Json| record["outcome"] == "failed";
        sweeper.records().iter().filter(failed).count()
    };
    assert_eq!(told(&sweeper), 1);
    // It is not told at each round, and what comes later goes.
    let later = vec![("id", lease(30_000)), ("until", Value::Timestamp(LONG_AGO))];
    make(running, fixture, "Lease", &[later]);
    assert!(sweeper.round(began) < 3);
    assert_eq!(running.ledger().expired_rows().0, 1_101);
    assert_eq!((told(&sweeper), sweeper.course.held()), (1, 3));
    // After an hour they are tried again.
    sweeper.round(after(began, Duration::from_hours(2)));
    assert_eq!((told(&sweeper), sweeper.course.held()), (1, 3));
}

/// More than are left out one by one.
pub(super) fn so_many_times_can_not_be_read_that_it_fails(running: &Running, fixture: &Fixture) {
    let mut sweeper = Sweeper::new(running, fixture, "Lease");
    let began = Instant::now();
    let steps: Vec<Step> = std::iter::repeat_with(|| sweeper.step(began))
        .take_while(|step| *step == Step::More)
        .take(500)
        .collect();
    assert!(steps.len() < 100, "{}", steps.len());
    assert_eq!(sweeper.step(began), Step::Failed(2));
    assert_eq!(sweeper.course.held(), 64);
    assert_eq!(sweeper.records().len(), 2);
}

/// After `breaks` nothing can be found, until `mends`.
pub(super) fn an_entity_that_can_not_be_swept_is_told_once(
    running: &Running,
    fixture: &Fixture,
    breaks: impl FnOnce(),
    mends: impl FnOnce(),
) {
    let over = vec![("id", text("over")), ("until", Value::Int(NOW - 1))];
    make(running, fixture, "Pass", &[over]);
    let mut sweeper = Sweeper::new(running, fixture, "Pass");
    let began = Instant::now();
    breaks();
    for times in 1..=3 {
        assert_eq!(sweeper.step(began), Step::Failed(times));
    }
    sweeper.course.rest(began, LONG);
    assert!(!sweeper.course.is_due(began) && sweeper.course.is_due(after(began, LONG)));
    let records = sweeper.records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(
        (&records[0]["outcome"], &records[0]["code"]),
        (&"failed".into(), &500.into())
    );
    mends();
    assert_eq!(sweeper.step(began), Step::Done);
    assert!(sweeper.course.is_due(began));
    assert!(ids(running, fixture, "Pass").is_empty());
}

/// After `breaks` the database does not answer, until `mends`: nobody is told of the entity, since nothing is wrong with it.
pub(super) fn a_database_that_is_away_is_waited_for(
    running: &Running,
    fixture: &Fixture,
    breaks: impl FnOnce(),
    mends: impl FnOnce(),
) {
    let over = vec![("id", text("over")), ("until", Value::Int(NOW - 1))];
    make(running, fixture, "Pass", &[over]);
    let mut sweeper = Sweeper::new(running, fixture, "Pass");
    breaks();
    for _ in 0..2 {
        assert_eq!(sweeper.step(Instant::now()), Step::Away);
    }
    assert!(sweeper.records().is_empty());
    mends();
    let began = Instant::now();
    while sweeper.step(Instant::now()) != Step::Done {
        assert!(began.elapsed() < LONG, "nothing is removed");
    }
    assert_eq!(running.ledger().expired_rows(), (1, 0));
}

/// Two workers on one database.
pub(super) fn workers_share_the_rows(workers: [&Running; 2], fixture: &Fixture) {
    let [one, other] = workers;
    let rows: Vec<_> = (1..=2_000_u128)
        .map(|nth| vec![("id", lease(nth)), ("until", Value::Timestamp(NOW - 1))])
        .collect();
    make(one, fixture, "Lease", &rows);
    let removed = || {
        let of = |worker: &Running| worker.ledger().expired_rows().0;
        of(one).saturating_add(of(other))
    };
    let began = Instant::now();
    let sweep = |worker: &Running| {
        let mut sweeper = Sweeper::new(worker, fixture, "Lease");
        while removed() < 2_000 && began.elapsed() < LONG {
            sweeper.round(Instant::now());
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| sweep(one));
        scope.spawn(|| sweep(other));
    });
    // Each row once.
    assert_eq!(removed(), 2_000);
    assert!(ids(one, fixture, "Lease").is_empty());
}
