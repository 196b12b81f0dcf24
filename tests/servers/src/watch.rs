//! A look at the statements of one user, from within the server: a process for each look would be too slow.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

/// Looks every few milliseconds whether a statement runs, and when it has ended.
pub struct Watch {
    client: Child,
    told: BufReader<ChildStdout>,
}

impl Watch {
    /// By a client that prints a line with 0 before it looks, one with 1 once there is one (0: there was none), and then when there was
    /// none any more, in milliseconds of this machine's clock (0: it did not end).
    pub(crate) fn by(mut client: Command) -> Self {
        let mut client = client.stdout(Stdio::piped()).spawn().unwrap();
        let mut watch = Self {
            told: BufReader::new(client.stdout.take().unwrap()),
            client,
        };
        // On a busy machine a client takes longer to start than what it is to see.
        assert_eq!(watch.next(), 0, "it does not look");
        watch
    }

    /// Waits until one runs.
    pub fn begun(&mut self) {
        assert_eq!(self.next(), 1, "none runs");
    }

    /// When none of them ran any more, by the clock of this machine.
    pub fn ended(mut self) -> SystemTime {
        let ended = self.next();
        self.client.wait().unwrap();
        assert_ne!(ended, 0, "it did not end");
        SystemTime::UNIX_EPOCH + Duration::from_millis(ended)
    }

    /// How long after `since` that was.
    pub fn gone_after(self, since: SystemTime) -> Duration {
        self.ended().duration_since(since).unwrap_or_default()
    }

    fn next(&mut self) -> u64 {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

/// That what is gone is gone soon: half of the times are below 200 ms, and none is without bound. A moment without a CPU is no fault of
/// ours.
pub fn assert_soon(what: &str, mut times: Vec<Duration>) {
    println!("{what}: {times:?}");
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or(Duration::MAX);
    assert!(median < Duration::from_millis(200), "{what}: {times:?}");
    assert!(
        times.iter().all(|time| *time < Duration::from_secs(5)),
        "{what}: {times:?}"
    );
}
