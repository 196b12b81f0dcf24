//! Removes answers that are kept no longer, between changes, and waits for no other process that has the file locked.

use std::time::{Duration, Instant};

use dbal_sql::SQLITE;
use rusqlite::{Connection, params_from_iter};

use super::open::BUSY;
use super::values::Parameter;
use crate::database::sweep::{Keeping, PAUSE, is_more};

/// When to sweep.
pub(super) struct Sweep {
    keeping: Keeping,
    due: Instant,
}

impl Sweep {
    /// The first time is a whole pause from now.
    pub(super) fn new(keeping: Keeping) -> Self {
        Self {
            keeping,
            due: soon(keeping.sweep_every),
        }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Removes some, if it is time. What could not be removed is there the next time.
    pub(super) fn step(&mut self, connection: &Connection) {
        if Instant::now() < self.due {
            return;
        }
        let is_more = match self.sweep(connection) {
            Ok(removed) => is_more(removed),
            Err(why) => {
                tracing::debug!(why, "answers that are kept no longer were not removed");
                false
            }
        };
        self.due = soon(if is_more { PAUSE } else { self.keeping.sweep_every });
    }

    fn sweep(&self, connection: &Connection) -> Result<u64, String> {
        let statement = self.keeping.sweep(&SQLITE).map_err(|error| error.to_string())?;
        let parameters = params_from_iter(statement.parameters().iter().map(Parameter));
        // Changes that come meanwhile have their own patience, and this can come again.
        let removed = connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| connection.execute(statement.sql(), parameters));
        let restored = connection.busy_timeout(BUSY);
        let removed = removed.map_err(|error| error.to_string())?;
        restored.map_err(|error| error.to_string())?;
        Ok(u64::try_from(removed).unwrap_or(u64::MAX))
    }
}

/// So long from now.
fn soon(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::sqlite::Connections;
    use crate::fixture::Fixture;

    #[test]
    fn a_file_that_another_process_has_locked_is_swept_later_and_holds_no_change_up() {
        let fixture = Fixture::new();
        let Connections { writer, .. } = fixture.open();
        let other = Connection::open(fixture.folder.path().join("test.sqlite")).unwrap();
        let old = "INSERT INTO dbal_idempotency VALUES ('k', 'r', 'null', 0, 0)";
        other.execute_batch(&format!("{old}; BEGIN IMMEDIATE")).unwrap();
        let mut sweep = Sweep::new(Keeping {
            sweep_every: Duration::ZERO,
            ..Keeping::default()
        });
        let began = Instant::now();
        sweep.step(&writer);
        assert!(began.elapsed() < BUSY, "{:?}", began.elapsed());
        let count = || -> i64 {
            let count = "SELECT COUNT(*) FROM dbal_idempotency";
            writer.query_row(count, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(), 1);
        let patience: i64 = writer
            .query_row("PRAGMA busy_timeout", [], |row| row.get(0))
            .unwrap();
        assert_eq!(i64::try_from(BUSY.as_millis()).unwrap(), patience);
        other.execute_batch("ROLLBACK").unwrap();
        sweep.step(&writer);
        assert_eq!(count(), 0);
    }
}
