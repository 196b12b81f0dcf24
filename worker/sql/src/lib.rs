//! A grant → a valid plan → statements with placeholders. No driver, no I/O, no clock: the worker's adapters run them.
#![forbid(unsafe_code)]

pub mod valid;
pub mod place;
pub mod operands;
pub mod fill;
pub mod dialect;
pub mod sql;
mod predicate;
mod moment;
mod mentions;
mod columns;
mod select;
mod aggregate;
pub mod branch;
mod write;
pub mod steps;
mod keyed;
mod together;
pub mod ddl;
pub mod answers;
#[cfg(test)]
mod tests;

pub use answers::{Answers, Kept};
pub use branch::Branch;
pub use dialect::{
    ANY_NUMBER, BRIDGED_POSTGRES, BRIDGED_POSTGRES_FOREIGN, Dialect, MARIADB, MARIADB_FOREIGN, MYSQL,
    MYSQL_FOREIGN, NOT_PERMITTED, OtherUuid, POSTGRES, POSTGRES_ALONE, POSTGRES_FOREIGN,
    POSTGRES_FOREIGN_ALONE, SQLITE, SQLITE_FOREIGN, SQLITE_LAX, TOO_MANY_ROWS, UuidForm, answering_new_rows,
    making_alone,
};
pub use fill::Generate;
pub use keyed::{KeyKind, Keyed, KeyedShape};
pub use place::Places;
pub use sql::{SqlError, Statement, as_json};
pub use steps::{Cell, Steps};
pub use together::{All, Batch, Several};
pub use valid::{ExpiredCells, Invalid, Sought, ValidPlan};

/// Most rows that one `updateMany` or `deleteMany` may change. Beyond it the call is refused as a whole (413), never cut
/// short: the one writer would be busy with it for longer than others should wait.
pub const ROWS_PER_BULK_WRITE: u32 = 10_000;
