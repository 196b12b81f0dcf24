//! Pages over tables of others: times finer than ours, enums, and letters whose case does not count.

use dbal_servers::mariadb::MariaDb;
use dbal_servers::mysql::MySql;
use dbal_shared::message::Reply;
use dbal_shared::plan::Direction::{Ascending, Descending};
use dbal_shared::predicate::{Case, Predicate, TextPosition};
use dbal_shared::value::Value;
use dbal_sql::ddl::create_tables;
use dbal_sql::{Dialect, MARIADB, MYSQL, Statement, Steps, ValidPlan};
use mysql_async::Params;
use mysql_async::prelude::Queryable;
use serde_json::json;

use super::Private;
use super::real_mysql::OnMySql;
use crate::database::agreement::Folding;
use crate::database::cases::as_read::{
    self, ANY_NUMBERS, FINE_TIMES, any_numbers, fine_times, rows_are_found_by_what_is_read_of_them,
    times_of_one_millisecond_are_equal,
};
use crate::database::cases::pages::Pages;
use crate::database::cases::{Bench, Ground};
use crate::database::mysql::values::parameter;
use crate::database::trouble::Trouble;
use crate::fixture::{ALICE, Fixture, text};

/// Tables of ours, altered before the worker has seen them.
const ALTERED: &str = "
ALTER TABLE Note
    MODIFY createdAt DATETIME(6) NOT NULL, MODIFY updatedAt TIMESTAMP(6) NULL,
    MODIFY state ENUM('published', 'locked', 'draft') NOT NULL, MODIFY `rank` SMALLINT, MODIFY slug VARCHAR(10) COLLATE utf8mb4_general_ci,
    MODIFY price DECIMAL(12, 4);
ALTER TABLE Sample MODIFY time DATETIME(6), MODIFY exact DECIMAL(65,0), MODIFY whole BIGINT UNSIGNED, DEFAULT COLLATE utf8mb4_general_ci";

/// Notes whose times differ by less than our own do, and are the same for some.
const FINE: &str = "
UPDATE Note JOIN (SELECT id, ROW_NUMBER() OVER (ORDER BY slug) AS nth FROM Note) AS numbered USING (id)
SET state = CASE WHEN nth % 3 = 0 THEN 'draft' ELSE 'published' END,
    createdAt = TIMESTAMP '2024-01-15 10:30:00' + INTERVAL (nth DIV 2) * 400 MICROSECOND,
    updatedAt = TIMESTAMP '1999-12-31 23:59:59.999' + INTERVAL ((nth * 7) % 5) * 300 MICROSECOND";

fn altered(server: &'static MariaDb, fixture: &Fixture, dialect: &'static Dialect) -> Private {
    let database = server.database();
    let statements = create_tables(fixture.policy.schema(), dialect).unwrap();
    let script: Vec<&str> = statements.iter().map(Statement::sql).collect();
    server.sql(
        &database,
        &format!("SET foreign_key_checks = 0; {}; {ALTERED}", script.join("; ")),
    );
    Private::of(server, database, fixture, str::to_owned)
}

struct InMariaDb(Private);

impl Bench for InMariaDb {
    const FOLDING: Folding = Folding::Simple;

    fn new(fixture: &Fixture) -> Self {
        Self(altered(MariaDb::shared(), fixture, &MARIADB))
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        self.0.run(plan)
    }

    fn execute(&self, sql: &str) {
        self.0.execute(sql);
    }
}

struct InMySql(Private);

impl Bench for InMySql {
    const FOLDING: Folding = Folding::Simple;

    fn new(fixture: &Fixture) -> Self {
        Self(altered(MySql::shared(), fixture, &MYSQL))
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        self.0.run(plan)
    }

    fn execute(&self, sql: &str) {
        self.0.execute(sql);
    }
}

fn are_the_whole_list<B: Bench>() {
    let pages = Pages::<B>::filled();
    pages.ground.bench.execute(FINE);
    pages.are_the_whole_list();
}

#[test]
fn pages_by_cursor_are_the_whole_list_where_times_are_finer_than_ours() {
    are_the_whole_list::<InMariaDb>();
}

#[test]
fn in_mysql_pages_by_cursor_are_the_whole_list_where_times_are_finer_than_ours() {
    are_the_whole_list::<InMySql>();
}

/// Notes whose two times are of one millisecond.
const ONE_MILLISECOND: &str =
    "UPDATE Note SET createdAt = '2024-01-15 10:30:00.1231', updatedAt = '2024-01-15 10:30:00.1239'";

fn are_found_by_what_is_read_of_them<B: Bench>() {
    let ground = Ground::<B>::new();
    times_of_one_millisecond_are_equal(&ground, ONE_MILLISECOND);
    ground.bench.execute(FINE_TIMES);
    rows_are_found_by_what_is_read_of_them(&ground, "time", &fine_times());
    ground.bench.execute("DELETE FROM Sample");
    ground.bench.execute(ANY_NUMBERS);
    rows_are_found_by_what_is_read_of_them(&ground, "flag", &any_numbers());
    // As many digits as the server has.
    let longest = "9".repeat(65);
    ground.bench.execute(&format!(
        "DELETE FROM Sample; INSERT INTO Sample (id, exact) VALUES (1, {longest}), (2, -{longest}), (3, 1)"
    ));
    let fixture = &ground.fixture;
    let is = fixture.eq("Sample", "exact", Value::Decimal(longest));
    let action = fixture.list("Sample", is, &["id"]);
    let list = ground.run((ALICE, "admin"), "Sample", action).unwrap();
    assert_eq!(list["data"], json!([{"id": 1}]));
    ground.bench.execute("SET SESSION sql_mode = ''");
    let all = [
        ("whole", "18446744073709551615"),
        ("whole", "9223372036854775808"),
        ("time", "'0000-00-00 00:00:00'"),
        ("time", "'2024-00-15 10:30:00'"),
        ("day", "'0000-00-00'"),
        ("day", "'2024-01-00'"),
    ];
    as_read::what_is_no_value_of_a_field_is_not_guessed(&ground, &all);
}

#[test]
fn times_and_booleans_of_others_are_found_by_what_is_read_of_them() {
    are_found_by_what_is_read_of_them::<InMariaDb>();
}

#[test]
fn in_mysql_times_and_booleans_of_others_are_found_by_what_is_read_of_them() {
    are_found_by_what_is_read_of_them::<InMySql>();
}

/// Many notes, of which many agree in each key.
const CROWD: &str = "
INSERT INTO \"Note\" (id, ownerId, slug, state, \"rank\", createdAt, updatedAt)
SELECT UUID(), '$ALICE', CONCAT('s', LPAD(seq, 6, '0')), IF(seq <= 18000, 'draft', 'published'),
    IF(seq % 4 = 0, NULL, seq % 5), TIMESTAMP '2024-01-15 10:30:00' + INTERVAL seq % 50 SECOND, '2024-01-15'
FROM seq_1_to_20000";

/// Rows that the server looks at for a statement.
fn looked_at(bench: &Private, statement: &Statement) -> u64 {
    let values = statement.parameters().iter().map(parameter);
    let values = Params::Positional(values.collect::<Result<_, _>>().unwrap());
    let mut root = bench.root.borrow_mut();
    let asked = async {
        root.query_drop("SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin")
            .await?;
        let prepared = root.prep(statement.sql()).await?;
        root.query_drop("FLUSH STATUS").await?;
        root.exec_drop(prepared, values).await?;
        root.query::<(String, u64), _>("SHOW SESSION STATUS LIKE 'Handler_read%'")
            .await
    };
    let counts = bench.runtime.block_on(asked).unwrap();
    counts.iter().map(|(_, count)| count).sum()
}

#[test]
fn in_mariadb_a_page_behind_a_cursor_begins_in_the_middle_of_an_index() {
    let pages = Pages::<Private>::new();
    let bench = &pages.ground.bench;
    bench.execute(&CROWD.replace("$ALICE", ALICE));
    for (index, keys) in [
        ("createdAt, id", &[("createdAt", Ascending)][..]),
        ("createdAt DESC, id", &[("createdAt", Descending)]),
        ("slug, id", &[("slug", Ascending)]),
        ("\"rank\", id", &[("rank", Ascending)]),
        ("\"rank\" DESC, id", &[("rank", Descending)]),
        ("state, id", &[("state", Ascending)]),
        (
            "state, createdAt DESC, id",
            &[("state", Ascending), ("createdAt", Descending)],
        ),
        (
            "\"rank\" DESC, state, id",
            &[("rank", Descending), ("state", Ascending)],
        ),
    ] {
        bench.execute(&format!("CREATE INDEX page ON Note ({index})"));
        bench.execute("ANALYZE TABLE Note");
        let plan = pages.behind(900, &pages.wanted(keys));
        let Steps::List { rows, .. } = Steps::of_plan(&plan, &MARIADB).unwrap() else {
            panic!("a list");
        };
        let count = looked_at(bench, &rows.statement);
        println!("{keys:?}: {count}");
        assert!(count < 30, "{keys:?} {count}: {}", rows.statement.sql());
        bench.execute("DROP INDEX page ON Note");
    }
}

/// What the server's `LOWER` makes of letters that are not one for one, or younger than it: `docs/semantics.md` says so.
fn case_is_folded_letter_by_letter<B: Bench>() {
    let ground = Ground::<B>::new();
    for (written, asked, is_found) in [
        ("ÉCOLE", "école", true),
        ("ЖУК", "жук", true),
        ("ǄEP", "ǆep", true),
        // One letter for one: the final form of the Greek letter is another, and the dot above is lost.
        ("ΣΟΦΟΣ", "σοφοσ", true),
        ("ΣΟΦΟΣ", "σοφος", false),
        ("İzmir", "izmir", true),
        ("İzmir", "i\u{307}zmir", false),
        ("straße", "STRASSE", false),
    ] {
        let slug = format!("{written} {asked}");
        ground.note(ALICE, &[("slug", text(&slug))]);
        let filter = Predicate::Matches {
            column: ground.fixture.column("Note", "slug"),
            position: TextPosition::Whole,
            text: format!("{asked} {asked}"),
            case: Case::Insensitive,
        };
        let expected: &[&str] = if is_found { &[&slug] } else { &[] };
        assert_eq!(
            ground.found("Note", filter, "slug"),
            expected,
            "{written} {asked}"
        );
    }
}

#[test]
fn in_mariadb_case_is_folded_letter_by_letter() {
    case_is_folded_letter_by_letter::<Private>();
}

#[test]
fn in_mysql_case_is_folded_letter_by_letter() {
    case_is_folded_letter_by_letter::<OnMySql>();
}
