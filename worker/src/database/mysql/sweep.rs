//! Removes answers that are kept no longer, on a connection that it makes for that.

use std::rc::Rc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params};
use tokio::time::{sleep, timeout};

use super::line::close;
use super::server::Server;
use super::trouble::described;
use super::values::parameter;
use crate::database::sweep::{Keeping, PATIENCE, PAUSE, STEPS, is_more};

/// Serves until the task is dropped.
pub(super) async fn serve(server: Rc<Server>, keeping: Keeping) {
    loop {
        sleep(keeping.sweep_every).await;
        // Those that serve have logged why there is none.
        let Ok(reached) = server.address.connect(0, Some(server.kind)).await else {
            continue;
        };
        let mut connection = reached.connection;
        match timeout(PATIENCE, sweep(&mut connection, &server, keeping)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::debug!(why, "answers that are kept no longer were not removed"),
            Err(_) => tracing::debug!("answers that are kept no longer were not all removed in time"),
        }
        close(connection);
    }
}

async fn sweep(connection: &mut Conn, server: &Server, keeping: Keeping) -> Result<(), String> {
    for _ in 0..STEPS {
        let statement = keeping.sweep(server.dialect).map_err(|error| error.to_string())?;
        let values = statement
            .parameters()
            .iter()
            .map(parameter)
            .collect::<Result<Vec<_>, _>>();
        let values = values.map_err(|trouble| trouble.to_string())?;
        let done = connection
            .exec_drop(statement.sql(), Params::Positional(values))
            .await;
        done.map_err(|error| described(&error))?;
        if !is_more(connection.affected_rows()) {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
