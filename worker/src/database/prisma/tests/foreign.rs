//! Tables that were there before, in PostgreSQL's own types: what comes through the bridge is what the adapter for PostgreSQL gives.

use dbal_config::Scheme;
use dbal_servers::bridge::Bridge;
use dbal_servers::postgres::Postgres;
use dbal_shared::plan::Direction::Descending;
use dbal_shared::plan::{Action, Function, Measure, SortKey, Total};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::value::Value;

use super::{ADMIN, Bridged, config, make_tables};
use crate::database::cases::as_read::{FINE_TIMES, fine_times, rows_are_found_by_what_is_read_of_them};
use crate::database::cases::pages::Pages;
use crate::database::cases::{Bench, Ground};
use crate::database::postgres::tests::foreign::FINE;
use crate::database::prisma::open::open;
use crate::database::running::Running;
use crate::database::{Connections, postgres};
use crate::fixture::{ALICE, Fixture, text, uuid};

#[test]
fn pages_by_cursor_are_the_whole_list_where_times_are_finer_than_ours() {
    let pages = Pages::<Bridged>::filled();
    pages.ground.bench.execute(FINE);
    pages.are_the_whole_list();
}

#[test]
fn times_that_are_finer_than_ours_are_found_by_what_is_read_of_them() {
    let ground = Ground::<Bridged>::new();
    ground.bench.execute(&format!(
        "ALTER TABLE \"Sample\" ALTER time TYPE timestamp; {FINE_TIMES}"
    ));
    rows_are_found_by_what_is_read_of_them(&ground, "time", &fine_times());
}

/// Types of others, and values that lie at their ends.
const FOREIGN: &str = "
CREATE TYPE word AS ENUM ('published', 'draft', 'locked');
ALTER TABLE \"Note\" ALTER state TYPE word USING state::word, ALTER slug TYPE char(12), ALTER rank TYPE int2,
    ALTER price TYPE numeric(12, 4), ALTER \"createdAt\" TYPE timestamp(3), ALTER \"updatedAt\" TYPE timestamp(6);
ALTER TABLE \"Sample\" ALTER real TYPE float4, ALTER exact TYPE int8, ALTER text TYPE varchar(40), ALTER time TYPE timestamp,
    ALTER key TYPE char(40), ALTER json TYPE jsonb;
INSERT INTO \"Sample\" VALUES
    (1, 9223372036854775807, 0.1, 9007199254740993, true, ' a ', '0001-01-01', '0001-01-01 00:00:00.0009', NULL, '\\x', '{\"b\":1,\"a\":[1e400]}'),
    (2, -9223372036854775808, 3.4028235e38, -1, false, '', '9999-12-31', '9999-12-31 23:59:59.9999', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '\\x00ff', 'null'),
    (3, NULL, -0.0, 0, NULL, NULL, NULL, '1969-12-31 23:59:59.9985', '00000000-0000-0000-0000-000000000000', NULL, '\"\\u2028\"'),
    (4, 4503599627370497, 1e-45, 12, true, E'\\x01\"\\\\', '1970-01-01', '1970-01-01', NULL, '\\x0a', '12345678901234567890.1');
";

const ALL: [&str; 11] = [
    "id", "whole", "real", "exact", "flag", "text", "day", "time", "key", "bytes", "json",
];

#[test]
fn values_of_every_type_mean_the_same_as_without_a_bridge() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    make_tables(server, &name, fixture.policy.schema());
    server.sql(
        &name,
        &format!("INSERT INTO \"User\" (id, username) VALUES ('{ALICE}', 'alice'); {FOREIGN}"),
    );
    let bridge = Bridge::plain(server, &name);
    let schema = fixture.policy.schema();
    let bridged = Running::on(Connections::Prisma(
        open(&config(Scheme::Http, bridge.port()), schema).unwrap(),
    ));
    let direct = Running::on(Connections::Postgres(
        postgres::open(&postgres::tests::config(server, &name), schema).unwrap(),
    ));
    let both = |entity: &str, action: Action| {
        let run = |running: &Running| {
            let outcome = running.call(fixture.plan(ADMIN, entity, action.clone()));
            outcome.map(|reply| reply.json)
        };
        let (through, without) = (run(&bridged), run(&direct));
        assert_eq!(through, without, "{entity} {action:?}");
        through
    };

    let sample = |filter| fixture.list("Sample", filter, &ALL);
    both("Sample", sample(Predicate::True)).unwrap();
    for (field, value) in [
        ("whole", Value::Int(i64::MAX)),
        ("real", Value::Float(f64::from(0.1_f32))),
        ("real", Value::Float(0.1)),
        ("exact", Value::Decimal("9007199254740993".to_owned())),
        ("exact", Value::Decimal("0.5".to_owned())),
        ("flag", Value::Bool(false)),
        ("text", text(" a ")),
        ("day", Value::Date(0)),
        ("time", Value::Timestamp(0)),
        ("key", uuid("ffffffff-ffff-ffff-ffff-ffffffffffff")),
        ("bytes", Value::Bytes(vec![0, 255])),
    ] {
        let ordered = !["flag", "key", "bytes"].contains(&field);
        let all = [Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Gte];
        for op in all.into_iter().take(if ordered { 4 } else { 2 }) {
            let column = fixture.column("Sample", field);
            let filter = Predicate::Compare {
                column,
                op,
                value: value.clone(),
            };
            both("Sample", sample(filter)).unwrap();
        }
    }
    for field in ALL.iter().filter(|field| !["json", "bytes"].contains(*field)) {
        let mut action = sample(Predicate::True);
        if let Action::List { order, .. } = &mut action {
            order.push(SortKey {
                column: fixture.column("Sample", field),
                direction: Descending,
            });
        }
        both("Sample", action).unwrap();
    }
    let measure = |function, field| Measure {
        function,
        column: fixture.column("Sample", field),
    };
    both(
        "Sample",
        Action::Aggregate {
            filter: Predicate::Compare {
                column: fixture.column("Sample", "id"),
                op: Comparison::Ne,
                value: Value::Int(2),
            },
            groups: vec![fixture.column("Sample", "flag")],
            count: Total::Counted,
            measures: vec![
                measure(Function::Average, "real"),
                measure(Function::Sum, "real"),
                measure(Function::Min, "real"),
                measure(Function::Max, "exact"),
                measure(Function::Max, "time"),
                measure(Function::Average, "whole"),
            ],
            limit: 10,
        },
    )
    .unwrap();

    // What goes in comes out, and what does not fit is refused in the same words.
    let mut id = 100;
    for (field, value) in [
        ("real", Value::Float(0.1)),
        ("real", Value::Float(1e300)),
        ("exact", Value::Decimal("1.5".to_owned())),
        ("exact", Value::Decimal("-7".to_owned())),
        ("text", text(&"x".repeat(41))),
        ("text", text("0e1")),
        ("time", Value::Timestamp(-1)),
        ("day", Value::Date(-719_162)),
        ("json", Value::Json("{\"b\":[1.50],\"a\":null}".to_owned())),
        ("key", uuid("0199a000-0000-7000-8000-00000000000b")),
        ("bytes", Value::Bytes((0..=255).collect())),
    ] {
        let mut one = |running: &Running| {
            id += 1;
            let action = Action::Create {
                values: fixture.values("Sample", &[("id", Value::Int(id)), (field, value.clone())]),
                projection: fixture.projection("Sample", &[field]),
            };
            running
                .call(fixture.plan(ADMIN, "Sample", action))
                .map(|reply| reply.json)
        };
        assert_eq!(one(&bridged), one(&direct), "{field} {value:?}");
    }
    let rows = |running: &Running, slug: &str| {
        let action = Action::Create {
            values: fixture.values(
                "Note",
                &[
                    ("ownerId", uuid(ALICE)),
                    ("slug", text(slug)),
                    ("rank", Value::Int(7)),
                ],
            ),
            projection: fixture.projection("Note", &["slug", "state", "rank", "price", "createdAt"]),
        };
        running.call(fixture.plan(ADMIN, "Note", action)).unwrap().json
    };
    let (through, without) = (rows(&bridged, "a"), rows(&direct, "b"));
    assert_eq!(through.replace("\"a\"", "\"b\""), without);
}
