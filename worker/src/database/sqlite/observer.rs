//! A thread that looks once a second whether the database answers, so that health checks never load it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use crate::database::sample::Sample;

const PERIOD: Duration = Duration::from_secs(1);

/// Takes samples until the other end of `stop` is gone.
pub fn serve(connection: &Connection, samples: &watch::Sender<Sample>, stop: &Receiver<()>) {
    loop {
        samples.send_replace(take(connection));
        match stop.recv_timeout(PERIOD) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Asks for something that lies in the file: `SELECT 1` would be answered without it.
fn take(connection: &Connection) -> Sample {
    let start = Instant::now();
    let answer = connection
        .prepare_cached("SELECT COUNT(*) FROM sqlite_schema")
        .and_then(|mut statement| statement.query_row([], |_| Ok(())));
    if let Err(error) = &answer {
        tracing::warn!(%error, "the database does not answer");
    }
    Sample {
        is_connected: answer.is_ok(),
        latency: start.elapsed(),
    }
}
