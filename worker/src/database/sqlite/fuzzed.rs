//! For the fuzz targets, in no build but theirs (`--cfg fuzzing`, which cargo-fuzz sets): a database in memory, tasks run on it by
//! the adapter's own code with each statement shown beforehand, and cells read as they are stored.

use std::time::Duration;

use dbal_schema::{ColumnType, Entity, Schema};
use dbal_shared::message::{Isolation, Reply};
use dbal_shared::value::Value;
use dbal_sql::{Dialect, SQLITE, Statement, ddl};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::open::harden;
use super::session::{Connected, at_once};
use super::{functions, values};
use crate::database::session::{Look, Row, Session};
use crate::database::task;
use crate::database::trouble::Trouble;
use crate::job::{Control, Refusal, Task};

/// Longer than any target lets one input take.
const PATIENCE: Duration = Duration::from_mins(5);

/// A database in memory with the schema's tables, its connection hardened like any other. None where SQLite refuses.
pub fn in_memory(schema: &Schema) -> Option<Connection> {
    let connection = Connection::open_in_memory().ok()?;
    harden(&connection).ok()?;
    for statement in ddl::create_tables(schema, &SQLITE).ok()? {
        connection.execute(statement.sql(), []).ok()?;
    }
    Some(connection)
}

/// Runs a task as the adapter's threads do, but for the transaction around a write, which is the caller's. `seen` is shown each
/// statement before it runs.
pub fn run(connection: &Connection, task: &Task, seen: &mut dyn FnMut(&Statement)) -> Result<Reply, Refusal> {
    let control = Control::within(PATIENCE);
    let mut session = Watched {
        connected: Connected {
            connection,
            dialect: &SQLITE,
        },
        seen,
    };
    let outcome = if task.is_write() {
        at_once(task::run_writing(&mut session, task, &control))
    } else {
        at_once(task::run_reading(&mut session, task, &control))
    };
    outcome.map_err(Trouble::into_refusal)
}

struct Watched<'a> {
    connected: Connected<'a>,
    seen: &'a mut dyn FnMut(&Statement),
}

impl Session for Watched<'_> {
    fn dialect(&self) -> &'static Dialect {
        self.connected.dialect()
    }

    async fn rows(
        &mut self,
        statement: &Statement,
        entity: &Entity,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Result<(), Trouble> {
        (self.seen)(statement);
        self.connected.rows(statement, entity, look).await
    }

    async fn begin_snapshot(&mut self, isolation: Isolation) -> Result<(), Trouble> {
        self.connected.begin_snapshot(isolation).await
    }

    async fn end_snapshot(&mut self) -> Result<(), Trouble> {
        self.connected.end_snapshot().await
    }
}

/// A cell as it is stored.
pub fn cell(declared: ColumnType, stored: ValueRef<'_>) -> Option<Value> {
    values::read(declared, stored, values::Times::OfAnybody)
}

/// The order of decimals, which SQLite asks for whatever texts a file holds.
pub fn compare_decimals(left: &str, right: &str) -> std::cmp::Ordering {
    functions::compare_decimals(left, right)
}
