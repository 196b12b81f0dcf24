//! Looks once a second whether the bridge and its database answer, so that health checks never load them, and so that calls are
//! refused at once while they do not.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::pool::Pool;
use super::protocol::{Kind, Told, body, read};
use crate::database::sample::Sample;

const PERIOD: Duration = Duration::from_secs(1);
/// Who takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// It reads the state of recovery: a bare `SELECT 1` would be answered by a server that is of no use.
const QUESTION: &str = "SELECT 0 AS n, pg_is_in_recovery()::text AS r";

/// Takes samples until the task is dropped.
pub(super) async fn serve(pool: Rc<Pool>, samples: watch::Sender<Sample>) {
    loop {
        let start = Instant::now();
        let trouble = match timeout(PATIENCE, ask(&pool)).await {
            Ok(trouble) => trouble,
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        samples.send_replace(Sample {
            is_connected: trouble.is_none(),
            latency: start.elapsed(),
        });
        pool.note(trouble);
        sleep(PERIOD).await;
    }
}

/// What is wrong, if something is. That it is busy is nothing wrong.
async fn ask(pool: &Pool) -> Option<String> {
    let question = body(QUESTION, &[], Kind::Query)?;
    match pool.ask(question).await {
        Ok(answered) => match read(&answered, Kind::Query) {
            Told::Rows(_) => None,
            Told::Refused(refused) if refused.code == "busy" => None,
            Told::Refused(_) | Told::Affected(_) | Told::Other { .. } => {
                Some(format!("it answered {} to a plain question", answered.status))
            }
        },
        Err(error) => Some(error.to_string()),
    }
}
