//! Tables of others that are not `STRICT`: booleans that are any number, times in other forms than ours, and what is not guessed.

use dbal_shared::fault::Code;
use dbal_shared::message::Reply;
use dbal_shared::plan::{Action, Function, Measure, Total};
use dbal_shared::predicate::Predicate;
use dbal_sql::ValidPlan;
use serde_json::json;

use super::super::{catalog, order, session};
use super::File;
use crate::database::cases::as_read::{
    self, ANY_NUMBERS, FINE_TIMES, any_numbers, fine_times, rows_are_found_by_what_is_read_of_them,
};
use crate::database::cases::{Bench, Ground};
use crate::database::trouble::Trouble;
use crate::fixture::{ALICE, Fixture};

const ADMIN: (&str, &str) = (ALICE, "admin");

/// As another program would make it.
const SAMPLE: &str = r#"
DROP TABLE "Leaf"; DROP TABLE "Sample";
CREATE TABLE "Sample" (
    id INTEGER PRIMARY KEY, whole INT, real REAL, exact TEXT, flag BOOLEAN, text TEXT, day DATE, time DATETIME, key UUID, bytes BLOB,
    json TEXT)"#;

/// A file with that table, in the dialect that the worker would find for it.
struct Others(File, std::sync::Arc<dbal_policy::Policy>);

impl Bench for Others {
    fn new(fixture: &Fixture) -> Self {
        let file = File::new(fixture);
        file.execute(SAMPLE);
        Self(file, std::sync::Arc::clone(&fixture.policy))
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        let found = catalog::catalog(&self.0.0).unwrap();
        session::read(&self.0.0, order::dialect(self.1.schema(), &found), plan)
    }

    fn execute(&self, sql: &str) {
        self.0.execute(sql);
    }
}

#[test]
fn times_and_booleans_of_others_are_found_by_what_is_read_of_them() {
    let ground = Ground::<Others>::new();
    ground.bench.execute(FINE_TIMES);
    rows_are_found_by_what_is_read_of_them(&ground, "time", &fine_times());
    ground.bench.execute("DELETE FROM \"Sample\"");
    ground.bench.execute(ANY_NUMBERS);
    rows_are_found_by_what_is_read_of_them(&ground, "flag", &any_numbers());
    // In forms that people and programs write.
    ground.bench.execute(
        "DELETE FROM \"Sample\"; INSERT INTO \"Sample\" (id, time) VALUES (1, '2024-01-15T10:30:00.000Z'), (2, '2024-01-15 10:30:00'),
            (3, '2024-01-15T12:30:00+02:00'), (4, '2024-01-15 10:30'), (5, '2024-01-15 09:59:59.5'), (6, CAST(CURRENT_TIMESTAMP AS TEXT)),
            (7, NULL); UPDATE \"Sample\" SET time = '2024-01-16 00:00:00' WHERE id = 6",
    );
    let times = [
        json!("2024-01-15T10:30:00.000Z"),
        json!("2024-01-15T10:30:00.000Z"),
        json!("2024-01-15T10:30:00.000Z"),
        json!("2024-01-15T10:30:00.000Z"),
        json!("2024-01-15T09:59:59.500Z"),
        json!("2024-01-16T00:00:00.000Z"),
        json!(null),
    ];
    let read: Vec<_> = (1..).zip(times).collect();
    rows_are_found_by_what_is_read_of_them(&ground, "time", &read);
}

#[test]
fn what_is_no_value_of_a_field_is_not_guessed() {
    let ground = Ground::<Others>::new();
    let all = [
        ("key", "'AB000000-0000-4000-8000-000000000001'"),
        ("key", "'ab000000000040008000000000000001'"),
        ("real", "9e999"),
        ("real", "-9e999"),
        ("exact", "'1.5e3'"),
        ("exact", "'x'"),
        ("time", "1705314600"),
        ("time", "'2024-01-15'"),
        ("flag", "'true'"),
        ("day", "'2024-1-5'"),
    ];
    as_read::what_is_no_value_of_a_field_is_not_guessed(&ground, &all);
    ground.bench.execute("DELETE FROM \"Sample\"; INSERT INTO \"Sample\" (id, exact, real) VALUES (1, '01.50', 9e999), (2, '1.5', 0)");
    let action = ground.fixture.list("Sample", Predicate::True, &["exact"]);
    let rows = ground.run(ADMIN, "Sample", action).unwrap();
    assert_eq!(rows["data"], json!([{"exact": "1.5"}, {"exact": "1.5"}]));
    // A sum says what any infinite sum does.
    let action = Action::Aggregate {
        filter: Predicate::True,
        groups: Vec::new(),
        count: Total::Skipped,
        measures: vec![Measure {
            function: Function::Sum,
            column: ground.fixture.column("Sample", "real"),
        }],
        limit: 1,
    };
    let (code, _) = ground.run(ADMIN, "Sample", action).unwrap_err();
    assert_eq!(code, Code::Invalid);
}
