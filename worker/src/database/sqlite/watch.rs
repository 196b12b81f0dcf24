//! Stops a statement when its caller's patience ends.

use std::sync::Arc;

use rusqlite::Connection;

use crate::job::Control;

/// Virtual machine instructions between two looks at the clock: some tens of microseconds of work.
const INSTRUCTIONS: i32 = 2_000;

/// Runs `work` on a connection that gives up when `control` says so.
pub(super) fn watched<T>(
    connection: &mut Connection,
    control: &Arc<Control>,
    work: impl FnOnce(&Connection) -> T,
) -> T {
    let watched = Arc::clone(control);
    // Without the handler a statement would run to its end; the caller is answered by its deadline all the same, so
    // failing to set it is no reason to refuse the call.
    if let Err(error) = connection.progress_handler(INSTRUCTIONS, Some(move || watched.over().is_some())) {
        tracing::warn!(%error, "a statement runs without a deadline");
    }
    let result = work(connection);
    if let Err(error) = connection.progress_handler(0, None::<fn() -> bool>) {
        tracing::error!(%error, "a deadline could not be lifted");
    }
    result
}
