//! Clients who mean well: some who ask one thing after another at a steady pace, and one who comes, asks once and goes, again
//! and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_tests::client::{Client, Login};
use dbal_tests::crowd::Crowd;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::stage::Stage;

/// Clients that are there all the time.
const STEADY: usize = 8;
/// How often each of them asks: together they want a small part of what the daemon can do.
const PACE: Duration = Duration::from_millis(10);
/// How often the other one comes.
const VISITS: Duration = Duration::from_millis(50);
/// No client waits for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// From the time when a call was due until its answer.
    pub steady: Latencies,
    /// From connecting to the answer.
    pub visits: Latencies,
}

/// Times, sorted, and how many never came.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    times: Vec<Duration>,
    /// Calls that were due and got no answer, or a refusal.
    pub failed: usize,
    /// Answers per second.
    pub per_second: f64,
}

impl Latencies {
    /// Of what was measured within `span`.
    pub fn of(mut times: Vec<Duration>, failed: usize, span: Duration) -> Self {
        times.sort_unstable();
        Self {
            per_second: times.len() as f64 / span.as_secs_f64(),
            times,
            failed,
        }
    }

    /// The time that this share of them did not exceed, in milliseconds.
    pub fn ms(&self, share: f64) -> f64 {
        let index = (self.times.len() as f64 * share) as usize;
        let time = self.times.get(index.min(self.times.len().saturating_sub(1)));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    /// How many of those that were due were answered, in percent.
    pub fn answered(&self) -> f64 {
        let all = self.times.len() + self.failed;
        100.0 * self.times.len() as f64 / all.max(1) as f64
    }
}

/// Lets them call for so long.
pub async fn calls(stage: &Stage, span: Duration) -> Calls {
    let token: Arc<str> = stage.daemon.user("alice").token.as_str().into();
    let mut steady = JoinSet::new();
    let began = Instant::now();
    for number in 0..STEADY {
        let (crowd, token, ids) = (stage.crowd.clone(), Arc::clone(&token), Arc::clone(&stage.ids));
        steady.spawn(async move {
            let texts: Vec<String> = ids.iter().skip(number * 61).map(|id| read(id)).collect();
            ask(&crowd, &token, &texts, began, span).await
        });
    }
    let visitor = tokio::spawn({
        let (crowd, token, id) = (stage.crowd.clone(), Arc::clone(&token), stage.ids[0].clone());
        async move { visit(&crowd, &token, &read(&id), began, span).await }
    });
    let (mut times, mut failed) = (Vec::new(), 0);
    while let Some(one) = steady.join_next().await {
        let (of_one, failed_of_one) = one.expect("a client");
        times.extend(of_one);
        failed += failed_of_one;
    }
    let (visits, failed_visits) = visitor.await.expect("a visitor");
    Calls {
        steady: Latencies::of(times, failed, span),
        visits: Latencies::of(visits, failed_visits, span),
    }
}

/// A call for one row.
pub fn read(id: &str) -> String {
    format!(r#"{{"id":"r","method":"read","params":["Item","{id}"]}}"#)
}

/// Calls at a steady pace: one that is late makes the next one late as well, and each counts from when it was due.
async fn ask(
    crowd: &Crowd,
    token: &str,
    texts: &[String],
    began: Instant,
    span: Duration,
) -> (Vec<Duration>, usize) {
    let (mut times, mut failed) = (Vec::new(), 0);
    let mut client: Option<Client> = None;
    let mut due = began;
    for text in texts.iter().cycle() {
        due += PACE;
        if due - began >= span {
            break;
        }
        sleep_until(due.into()).await;
        if client.is_none() {
            client = connect(crowd, token).await;
        }
        let answer = match &mut client {
            Some(client) => timeout(PATIENCE, client.try_round_trip(text))
                .await
                .ok()
                .flatten(),
            None => None,
        };
        match answer {
            Some(answer) if answer.contains("\"result\"") => times.push(due.elapsed()),
            Some(_) => failed += 1,
            None => {
                failed += 1;
                client = None;
            }
        }
        // Those that were due meanwhile and will never be asked.
        if began.elapsed() > span + PATIENCE {
            break;
        }
    }
    (times, failed)
}

async fn visit(
    crowd: &Crowd,
    token: &str,
    text: &str,
    began: Instant,
    span: Duration,
) -> (Vec<Duration>, usize) {
    let (mut times, mut failed) = (Vec::new(), 0);
    while began.elapsed() < span {
        let came = Instant::now();
        let visited = timeout(PATIENCE, async {
            let mut client = connect(crowd, token).await?;
            let answer = client.try_round_trip(text).await?;
            client.close().await;
            answer.contains("\"result\"").then_some(())
        });
        match visited.await {
            Ok(Some(())) => times.push(came.elapsed()),
            Ok(None) | Err(_) => failed += 1,
        }
        sleep_until((came + VISITS).into()).await;
    }
    (times, failed)
}

async fn connect(crowd: &Crowd, token: &str) -> Option<Client> {
    let connecting = crowd.client(Crowd::source(0), Login::Header(token));
    timeout(PATIENCE, connecting).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_shares_are_those_of_what_was_due() {
        let times = (1..=100).rev().map(Duration::from_millis).collect();
        let latencies = Latencies::of(times, 100, Duration::from_secs(2));
        assert_eq!(
            (latencies.ms(0.5).round(), latencies.ms(0.99).round()),
            (51.0, 100.0)
        );
        assert_eq!((latencies.answered(), latencies.per_second), (50.0, 50.0));
        assert!(Latencies::default().ms(0.5).is_nan());
    }
}
