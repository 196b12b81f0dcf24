//! How the broker stops: first nothing more is read and what was read is answered; then whoever is left is told to go.

use tokio::sync::watch;

/// How far the end has come. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    Draining,
    Leaving,
}

/// Orders the end.
#[derive(Debug)]
pub struct Drainer(watch::Sender<Stage>);

/// Hears of it. Each connection has its own.
#[derive(Clone, Debug)]
pub struct Drain(watch::Receiver<Stage>);

/// The two sides of one end.
pub fn drain() -> (Drainer, Drain) {
    let (order, hear) = watch::channel(Stage::Serving);
    (Drainer(order), Drain(hear))
}

impl Drainer {
    /// From now on nothing more is read.
    pub fn begin(&self) {
        self.0.send_replace(Stage::Draining);
    }

    /// The time to finish is over.
    pub fn leave(&self) {
        self.0.send_replace(Stage::Leaving);
    }
}

impl Drain {
    /// Returns once nothing more is to be read.
    pub async fn has_begun(&mut self) {
        self.reaches(Stage::Draining).await;
    }

    /// Returns once the time to finish is over.
    pub async fn is_over(&mut self) {
        self.reaches(Stage::Leaving).await;
    }

    async fn reaches(&mut self, wanted: Stage) {
        // An error means that the sender is gone, which only the end of the broker makes so.
        let _ = self.0.wait_for(|stage| *stage >= wanted).await;
    }
}
