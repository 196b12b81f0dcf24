//! A thread that removes answers that are kept no longer, on a connection that it makes for that.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params};
use tokio::time::{sleep, timeout};

use super::server::Server;
use super::trouble::described;
use super::values::parameter;
use crate::database::sweep::{Keeping, PATIENCE, PAUSE, STEPS, is_more};

/// Serves until the other end of `stop` is gone.
pub(super) fn serve(server: &Arc<Server>, keeping: Keeping, stop: &Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "nobody removes answers that are kept no longer");
            return;
        }
    };
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(keeping.sweep_every) {
        let connection = match runtime.block_on(server.address.connect(0, Some(server.kind))) {
            Ok(reached) => reached.connection,
            // Those that serve have logged why.
            Err(_) => continue,
        };
        let mut connection = Some(connection);
        let swept =
            runtime.block_on(async { timeout(PATIENCE, sweep(&mut connection, server, keeping)).await });
        match swept {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::debug!(why, "answers that are kept no longer were not removed"),
            Err(_) => tracing::debug!("answers that are kept no longer were not all removed in time"),
        }
        // Outside of the runtime, where dropping it closes it: inside, the driver would wait for what is still to come.
        drop(connection);
    }
}

async fn sweep(connection: &mut Option<Conn>, server: &Server, keeping: Keeping) -> Result<(), String> {
    for _ in 0..STEPS {
        let Some(open) = connection else {
            return Ok(());
        };
        let statement = keeping.sweep(server.dialect).map_err(|error| error.to_string())?;
        let values = statement
            .parameters()
            .iter()
            .map(parameter)
            .collect::<Result<Vec<_>, _>>();
        let values = values.map_err(|trouble| trouble.to_string())?;
        let done = open.exec_drop(statement.sql(), Params::Positional(values)).await;
        done.map_err(|error| described(&error))?;
        if !is_more(open.affected_rows()) {
            break;
        }
        sleep(PAUSE).await;
    }
    // Said politely, since a server counts connections that break off.
    if let Some(done) = connection.take() {
        let _ = done.disconnect().await;
    }
    Ok(())
}
