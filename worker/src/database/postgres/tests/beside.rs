//! Calls that run beside one another, and beside what others do in the database.

use std::time::Duration;

use dbal_servers::postgres::Postgres;
use dbal_shared::message::Isolation;

use super::{Private, soon};
use crate::database::beside::{
    Beside, a_named_write_that_comes_again_while_it_is_under_way_gets_the_first_ones_answer,
    serializable_transactions_end_as_if_one_had_run_after_the_other,
    transactions_that_ask_for_less_may_both_see_what_was_before,
};
use crate::database::cases::Bench;
use crate::fixture::Fixture;
use crate::together::Step;

fn trigger(bench: &Private<'_>, event: &str, seconds: &str) {
    bench.sql(&format!(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep({seconds}); RETURN new; END $$; \
         CREATE TRIGGER pause {event} ON \"Note\" FOR EACH ROW EXECUTE FUNCTION pause()"
    ));
}

#[test]
fn in_postgresql_a_named_write_that_comes_again_while_it_is_under_way_gets_the_first_ones_answer() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 6);
    trigger(&bench, "AFTER INSERT", "0.5");
    a_named_write_that_comes_again_while_it_is_under_way_gets_the_first_ones_answer(&Beside {
        fixture: &fixture,
        running: &bench.running,
    });
}

#[test]
fn in_postgresql_isolation_levels_mean_what_they_say() {
    let fixture = Fixture::new();
    let bench = Private::on(Postgres::shared(), &fixture, |config| config.pool_size = 6);
    let beside = Beside {
        fixture: &fixture,
        running: &bench.running,
    };
    trigger(&bench, "BEFORE UPDATE", "0.1");
    serializable_transactions_end_as_if_one_had_run_after_the_other(&beside);
    transactions_that_ask_for_less_may_both_see_what_was_before(&beside);
}

/// Fekete, O'Neil, O'Neil: A Read-Only Transaction Anomaly Under Snapshot Isolation. Somebody draws from an account after they
/// looked at both, and commits last; a deposit came between; who reads both then has seen an order that was not.
#[test]
fn a_serializable_transaction_that_only_reads_sees_an_order_in_which_changes_could_have_come() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    let beside = Beside {
        fixture: &fixture,
        running: &bench.running,
    };
    let [savings, checking] = ["savings", "checking"].map(|slug| {
        bench.call(beside.create(slug)).unwrap();
        bench.sql(&format!("SELECT id FROM \"Note\" WHERE slug = '{slug}'"))
    });
    for (isolation, is_undone) in [
        (Isolation::RepeatableRead, false),
        (Isolation::Serializable, true),
    ] {
        bench.sql("UPDATE \"Note\" SET rank = 0");
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
            (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted";
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
            (SELECT oid FROM pg_database WHERE datname = current_database()) AND NOT granted";
        let mut holder = bench
            .server
            .session(&bench.name, "SELECT pg_advisory_lock(7); SELECT pg_sleep(60)");
        soon("the lock is held", Duration::from_secs(20), || {
            bench.sql(held) == "1"
        });
        let mut drawing = bench.server.session(
            &bench.name,
            &format!(
                "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(rank) FROM \"Note\"; SELECT pg_advisory_lock(7); \
                 UPDATE \"Note\" SET rank = rank - 11 WHERE id = '{checking}'; COMMIT"
            ),
        );
        soon("it has looked", Duration::from_secs(20), || {
            bench.sql(waits) == "1"
        });
        // By its index, or PostgreSQL takes it for somebody who looked at both.
        bench.sql(&format!(
            "SET enable_seqscan = off; SET enable_bitmapscan = off; BEGIN ISOLATION LEVEL SERIALIZABLE; \
             UPDATE \"Note\" SET rank = rank + 20 WHERE id = '{savings}'; COMMIT"
        ));
        let steps = [&savings, &checking]
            .map(|id| Step::Ready(beside.read(id)))
            .into();
        let read = beside.submit(beside.together(isolation, steps), None).answer();
        let read = read.unwrap().json;
        assert!(
            read.contains("\"rank\":20") && read.contains("\"rank\":0"),
            "{read}"
        );
        bench.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = \
             (SELECT oid FROM pg_database WHERE datname = current_database())",
        );
        let _ = holder.wait();
        assert_eq!(drawing.wait().unwrap().success(), !is_undone, "{isolation:?}");
    }
}
