//! Removes answers that are kept no longer, on a connection that it makes for that.

use std::rc::Rc;

use dbal_sql::POSTGRES;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::servers::Servers;
use super::values::Parameter;
use crate::database::sweep::{Keeping, PATIENCE, PAUSE, STEPS, is_more};

/// Turns to leave out after one that the server refused: its log has each, and where the table is missing or the server is a replica
/// there would be one a minute.
const TURNS: u32 = 60;

/// Serves until the task is dropped.
pub(super) async fn serve(servers: Rc<Servers>, keeping: Keeping) {
    let mut turns = 1;
    loop {
        sleep(keeping.sweep_every.saturating_mul(turns)).await;
        turns = 1;
        // The pool has logged why it fails.
        let Ok((connected, driver)) = servers.connect(0).await else {
            continue;
        };
        let driver = tokio::task::spawn_local(driver);
        match timeout(PATIENCE, sweep(&connected.client, keeping)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                tracing::debug!(why, "answers that are kept no longer were not removed");
                turns = TURNS;
            }
            Err(_) => {
                tracing::debug!("answers that are kept no longer were not all removed in time");
                servers.cancel(&connected.cancel, connected.endpoint).await;
            }
        }
        // Its end ends the driver, which takes leave of the server.
        drop(connected);
        let _ = timeout(PATIENCE, driver).await;
    }
}

async fn sweep(client: &Client, keeping: Keeping) -> Result<(), String> {
    for _ in 0..STEPS {
        let statement = keeping.sweep(&POSTGRES).map_err(|error| error.to_string())?;
        let parameters = statement.parameters().iter().map(Parameter);
        let done = client.execute_raw(statement.sql(), parameters).await;
        if !is_more(done.map_err(|error| error.to_string())?) {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
