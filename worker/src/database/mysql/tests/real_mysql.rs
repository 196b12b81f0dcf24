//! The same on a real MySQL.

use dbal_servers::mysql::MySql;
use dbal_shared::message::Reply;
use dbal_sql::ValidPlan;

use super::Private;
use crate::database::agreement::{Folding, agreement};
use crate::database::cases::{Bench, cases};
use crate::database::trouble::Trouble;
use crate::fixture::Fixture;

pub(super) struct OnMySql(Private);

impl Bench for OnMySql {
    const FOLDING: Folding = Folding::Simple;

    fn new(fixture: &Fixture) -> Self {
        Self(Private::on(MySql::shared(), fixture))
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        self.0.run(plan)
    }

    fn execute(&self, sql: &str) {
        self.0.execute(sql);
    }
}

cases!(OnMySql);
agreement!(OnMySql);
