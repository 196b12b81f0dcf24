//! Notices that the database has been away for so long that its name may mean another address by now. Names are resolved
//! once, before the process locks itself in: only another process can ask again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::database::sample::Sample;

/// Returns once no sample has said for so long that the database answers.
pub(crate) async fn lost(mut samples: watch::Receiver<Sample>, after: Duration) {
    // Where nobody takes samples any more, the worker ends anyway.
    while samples.wait_for(|sample| !sample.is_connected).await.is_ok() {
        let back = samples.wait_for(|sample| sample.is_connected);
        if timeout(after, back).await.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_millis(400);

    fn sample(is_connected: bool) -> Sample {
        Sample {
            is_connected,
            latency: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn a_database_is_lost_when_it_has_not_answered_for_so_long_and_not_when_it_comes_back() {
        let (samples, seen) = watch::channel(sample(true));
        let mut lost = tokio::spawn(lost(seen, AFTER));
        assert!(
            timeout(AFTER.saturating_mul(2), &mut lost).await.is_err(),
            "it answers all the time"
        );
        for _ in 0..3 {
            samples.send_replace(sample(false));
            tokio::time::sleep(Duration::from_millis(10)).await;
            samples.send_replace(sample(true));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(
            timeout(AFTER.saturating_mul(2), &mut lost).await.is_err(),
            "it came back each time"
        );

        // Told again and again that it is away, it counts from the first time.
        let asked = async {
            loop {
                samples.send_replace(sample(false));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let told = async {
            tokio::select! {
                lost = lost => lost,
                () = asked => Ok(()),
            }
        };
        let began = std::time::Instant::now();
        timeout(Duration::from_mins(1), told).await.unwrap().unwrap();
        assert!(began.elapsed() >= AFTER);
    }

    #[tokio::test]
    async fn when_nobody_looks_any_more_nothing_is_lost() {
        let (samples, seen) = watch::channel(sample(true));
        drop(samples);
        assert!(
            timeout(Duration::from_millis(100), lost(seen, Duration::from_millis(10)))
                .await
                .is_err()
        );
    }
}
