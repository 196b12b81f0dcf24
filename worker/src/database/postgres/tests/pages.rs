//! How PostgreSQL finds a page.

use dbal_shared::plan::Direction::{Ascending, Descending};
use dbal_sql::{POSTGRES, Steps};

use super::Private;
use crate::database::cases::pages::Pages;

/// What PostgreSQL does for a statement when it may neither sort nor read a whole table.
fn explained(bench: &Private<'_>, sql: &str, parameters: usize) -> String {
    // Whatever they are: it is the plan for all of them.
    let nulls = vec!["NULL"; parameters].join(", ");
    bench.sql(&format!(
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
         SET plan_cache_mode = force_generic_plan; PREPARE page AS {sql}; EXPLAIN EXECUTE page({nulls})"
    ))
}

#[test]
fn a_page_behind_a_cursor_begins_in_the_middle_of_an_index() {
    let pages = Pages::<Private<'static>>::filled();
    let bench = &pages.ground.bench;
    for (index, keys) in [
        ("\"createdAt\", id", &[("createdAt", Ascending)][..]),
        ("\"updatedAt\" DESC, id", &[("updatedAt", Descending)]),
        ("slug COLLATE \"C\", id", &[("slug", Ascending)]),
        ("rank NULLS FIRST, id", &[("rank", Ascending)]),
        (
            "state COLLATE \"C\", \"createdAt\" DESC, id",
            &[("state", Ascending), ("createdAt", Descending)],
        ),
    ] {
        bench.sql(&format!("CREATE INDEX page ON \"Note\" ({index})"));
        let plan = pages.second(&pages.wanted(keys).of(7));
        let Steps::List { rows, .. } = Steps::of_plan(&plan, &POSTGRES).unwrap() else {
            panic!("a list");
        };
        let statement = &rows.statement;
        let way = explained(bench, statement.sql(), statement.parameters().len());
        let is_begun = way
            .lines()
            .any(|line| line.contains("Index Cond: ") && (line.contains(" >= ") || line.contains(" <= ")));
        assert!(
            way.contains("Index Scan using page") && is_begun && !way.contains("Sort"),
            "{keys:?}: {}\n{way}",
            statement.sql()
        );
        bench.sql("DROP INDEX page");
    }
}
