//! Looks once a second whether the database answers, on a connection of its own, so that health checks never load it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::servers::Servers;
use crate::database::sample::Sample;

const PERIOD: Duration = Duration::from_secs(1);
/// A database that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes samples until the task is dropped.
pub(super) async fn serve(servers: Rc<Servers>, samples: watch::Sender<Sample>) {
    let mut open: Option<Client> = None;
    loop {
        let client = match open.take().filter(|client| !client.is_closed()) {
            Some(client) => Some(client),
            None => connect(&servers).await,
        };
        let start = Instant::now();
        let is_connected = match &client {
            // It reads the state of recovery: a bare `SELECT 1` would be answered by a server that is of no use.
            Some(client) => {
                let ask = client.query_typed("SELECT pg_is_in_recovery()", &[]);
                matches!(timeout(PATIENCE, ask).await, Ok(Ok(_)))
            }
            None => false,
        };
        samples.send_replace(Sample {
            is_connected,
            latency: start.elapsed(),
        });
        // One that did not answer is not asked again: the answer to this question could be taken for the next one's.
        open = client.filter(|_| is_connected);
        sleep(PERIOD).await;
    }
}

async fn connect(servers: &Servers) -> Option<Client> {
    // The pool has logged why it fails.
    let (connected, driver) = servers.connect(0).await.ok()?;
    tokio::task::spawn_local(driver);
    Some(connected.client)
}
