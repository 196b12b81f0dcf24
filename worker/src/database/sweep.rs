//! How long answers to named writes are kept, and their end where nobody writes any more: a timer removes them, a few at a time, so
//! that no write waits long for it.

use std::time::Duration;

use dbal_shared::limits::IDEMPOTENCY_MS;
use dbal_sql::{Answers, Dialect, SqlError, Statement};

use crate::generate::now_ms;

/// Most steps in a row; what is left then waits for the next time. SQLite, where each comes between changes, needs no bound.
pub(super) const STEPS: u32 = 256;
/// Between two of them.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// How long one may take. It waits for locks of writes, and can come again.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long answers are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// In milliseconds.
    pub answers_ms: i64,
    /// Between two looks at what is kept too long.
    pub sweep_every: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            answers_ms: IDEMPOTENCY_MS,
            sweep_every: Duration::from_mins(1),
        }
    }
}

impl Keeping {
    /// Removes some answers that are kept no longer.
    pub(super) fn sweep(self, dialect: &'static Dialect) -> Result<Statement, SqlError> {
        Answers::table()?.sweep(now_ms().saturating_sub(self.answers_ms), dialect)
    }
}

/// Whether there may be more, where one step removed so many rows.
pub(super) fn is_more(removed: u64) -> bool {
    removed >= Answers::SWEPT
}
