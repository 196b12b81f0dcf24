//! How PostgreSQL finds a page.

use dbal_shared::plan::Direction::{Ascending, Descending};
use dbal_shared::value::Value;
use dbal_sql::{POSTGRES, Statement, Steps};

use super::Private;
use crate::database::cases::pages::Pages;
use crate::fixture::ALICE;

/// Many notes, of which many agree in each key.
const CROWD: &str = "
INSERT INTO \"Note\" (id, \"ownerId\", slug, state, rank, \"createdAt\", \"updatedAt\")
SELECT gen_random_uuid(), '$ALICE', 's' || lpad(n::text, 6, '0'), CASE WHEN n <= 18000 THEN 'draft' ELSE 'published' END,
    CASE WHEN n % 4 = 0 THEN NULL ELSE n % 5 END, timestamptz '2024-01-15Z' + n % 50 * interval '1 s', '2024-01-15Z'
FROM generate_series(1, 20000) AS n;
DROP INDEX note_rank, note_price, note_state, note_slug, \"note_createdAt\", \"note_updatedAt\"";

/// A value as a person would write it.
fn literal(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Text(text) => format!("'{text}'"),
        Value::Uuid(octets) => format!("'{}'", uuid::Uuid::from_bytes(*octets)),
        Value::Timestamp(ms) => format!("to_timestamp({ms} / 1000.0)"),
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Decimal(_)
        | Value::Date(_)
        | Value::Json(_)
        | Value::Bytes(_)
        | Value::Earlier(_) => panic!("{value:?}"),
    }
}

/// What PostgreSQL does for a statement, whatever the values are.
fn explained(bench: &Private<'_>, statement: &Statement) -> String {
    let values: Vec<String> = statement.parameters().iter().map(literal).collect();
    bench.sql(&format!(
        "SET plan_cache_mode = force_generic_plan; PREPARE page AS {}; EXPLAIN (ANALYZE, BUFFERS) EXECUTE page({})",
        statement.sql(),
        values.join(", ")
    ))
}

/// Pages of memory or disk that were looked at in all.
fn looked_at(way: &str) -> u64 {
    let all = way.lines().find(|line| line.contains("Buffers: shared")).unwrap();
    let counts = all.split_whitespace().filter_map(|word| {
        let count = word.strip_prefix("hit=").or_else(|| word.strip_prefix("read="));
        count?.parse::<u64>().ok()
    });
    counts.sum()
}

#[test]
fn a_page_behind_a_cursor_begins_in_the_middle_of_an_index() {
    let pages = Pages::<Private<'static>>::new();
    let bench = &pages.ground.bench;
    bench.sql(&CROWD.replace("$ALICE", ALICE));
    for (index, keys) in [
        ("\"createdAt\", id", &[("createdAt", Ascending)][..]),
        ("\"createdAt\" DESC, id", &[("createdAt", Descending)]),
        ("\"updatedAt\" DESC, id", &[("updatedAt", Descending)]),
        ("slug COLLATE \"C\", id", &[("slug", Ascending)]),
        ("rank NULLS FIRST, id", &[("rank", Ascending)]),
        ("rank DESC NULLS LAST, id", &[("rank", Descending)]),
        ("state COLLATE \"C\", id", &[("state", Ascending)]),
        (
            "state COLLATE \"C\", \"createdAt\" DESC, id",
            &[("state", Ascending), ("createdAt", Descending)],
        ),
        (
            "rank DESC NULLS LAST, state COLLATE \"C\", id",
            &[("rank", Descending), ("state", Ascending)],
        ),
    ] {
        bench.sql(&format!(
            "CREATE INDEX page ON \"Note\" ({index}); ANALYZE \"Note\""
        ));
        let plan = pages.behind(900, &pages.wanted(keys));
        let Steps::List { rows, .. } = Steps::of_plan(&plan, &POSTGRES).unwrap() else {
            panic!("a list");
        };
        let way = explained(bench, &rows.statement);
        let count = looked_at(&way);
        println!("{keys:?}: {count}");
        assert!(
            way.contains("Scan using page") && count < 150,
            "{keys:?} {count}: {}\n{way}",
            rows.statement.sql()
        );
        bench.sql("DROP INDEX page");
    }
}
