//! Listens for what is written, here and by other daemons, on a connection of its own. Each write tells of itself in its own
//! transaction (`Connected::commit`), so it is heard as soon as it can be seen, and by whoever listens.
//!
//! A connection that is cut without a word looks like one on which nothing is written. So the server is asked again and again, and
//! answers behind what it has to tell: nothing was missed before the moment when the last question that it answered was sent.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};

use super::pool::jittered;
use super::servers::{Connected, Driver, Servers};
use crate::cache::{CHANNEL, Cache};

/// From one question to the next.
const PERIOD: Duration = Duration::from_millis(500);
/// How long answers are given out after the last question that was answered had been sent. Longer than a period and the answer take
/// on a machine with much to do.
pub(super) const BELIEVED: Duration = Duration::from_secs(3);
/// A server that takes longer for an answer is left.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Whether this very session listens: a pooler that lends its sessions by the transaction would let it be another one.
const LISTENS: &str = "SELECT count(*) FROM pg_listening_channels() AS c WHERE c = 'dbal_cache'";

/// Listens until the task is dropped.
pub(super) async fn serve(servers: Rc<Servers>, cache: Arc<Cache>) {
    let mut pause = FIRST_PAUSE;
    loop {
        // The pool has logged why it fails.
        if let Ok((Connected { client, .. }, mut driver)) = servers.connect(0).await {
            let began = Instant::now();
            let why = listen(&client, &mut driver, &cache).await;
            cache.misses(&why);
            if began.elapsed() > LAST_PAUSE {
                pause = FIRST_PAUSE;
            }
        }
        sleep(jittered(pause)).await;
        pause = pause.saturating_mul(2).min(LAST_PAUSE);
    }
}

/// Listens until that fails; why it did.
async fn listen(client: &Client, driver: &mut Driver, cache: &Cache) -> String {
    let begin = client.batch_execute(LISTEN);
    match timeout(PATIENCE, meanwhile(driver, cache, begin)).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => return dbal_daemon::causes(&error),
        Ok(Err(why)) => return why,
        Err(_) => return NO_ANSWER.to_owned(),
    }
    loop {
        let asked = Instant::now();
        let ask = async {
            let none: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 0] = [];
            client.query_typed_one(LISTENS, &none).await?.try_get::<_, i64>(0)
        };
        match timeout(PATIENCE, meanwhile(driver, cache, ask)).await {
            Ok(Ok(Ok(1))) => cache.hears(asked, BELIEVED),
            Ok(Ok(Ok(_))) => {
                return "the session does not listen any more: is there a pooler between that lends sessions by the transaction?"
                    .to_owned();
            }
            Ok(Ok(Err(error))) => return dbal_daemon::causes(&error),
            Ok(Err(why)) => return why,
            Err(_) => return NO_ANSWER.to_owned(),
        }
        if let Err(why) = meanwhile(driver, cache, sleep(PERIOD)).await {
            return why;
        }
    }
}

const NO_ANSWER: &str = "the database does not answer";
/// `CHANNEL`, as the server has to be told it.
const LISTEN: &str = "LISTEN dbal_cache";

/// Waits for something while messages are taken in. What the server sent before the answer has been taken in before it.
async fn meanwhile<T>(
    driver: &mut Driver,
    cache: &Cache,
    work: impl Future<Output = T>,
) -> Result<T, String> {
    let mut work = pin!(work);
    let ended = |why: String| Poll::Ready(Err(why));
    std::future::poll_fn(|context| {
        // Sends what there is to send.
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        loop {
            match driver.poll_message(context) {
                Poll::Ready(Some(Ok(AsyncMessage::Notification(told)))) if told.channel() == CHANNEL => {
                    cache.heard(told.payload());
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return ended(dbal_daemon::causes(&error)),
                Poll::Ready(None) => return ended("the connection was closed".to_owned()),
                Poll::Pending => break,
            }
        }
        // Its answer may just have come.
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
