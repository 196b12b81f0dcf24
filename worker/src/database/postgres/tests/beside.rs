//! Calls that run beside one another, and beside what others do in the database.

use dbal_servers::postgres::Postgres;

use super::Private;
use crate::database::beside::{
    Beside, a_named_write_that_comes_again_while_it_is_under_way_gets_the_first_ones_answer,
    serializable_transactions_end_as_if_one_had_run_after_the_other,
    transactions_that_ask_for_less_may_both_see_what_was_before,
};
use crate::fixture::Fixture;

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
