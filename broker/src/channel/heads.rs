//! Heads of the audit trail that the worker shows: remembered, signed, and told where the worker can't write.

use std::time::Duration;

use dbal_shared::message::{Countersignature, Head};
use dbal_witness::{Seen, Signer, Watch, digits};
use tokio::time::Instant;

use super::Trail;

/// How often the newest countersignature is told in the log. The administrative listener tells each.
const TOLD: Duration = Duration::from_mins(1);

/// The heads of one broker's life, over all links.
pub(super) struct Heads {
    watch: Watch,
    shown: Option<Instant>,
    told: Option<(Head, Instant)>,
    complained: Option<Instant>,
}

impl Default for Heads {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Heads {
    pub(super) fn new(signer: Option<Signer>) -> Self {
        if let Some(signer) = &signer {
            tracing::info!(key = %signer.public(), "heads of the audit trail are countersigned");
        }
        Self {
            watch: Watch::new(signer),
            shown: None,
            told: None,
            complained: None,
        }
    }

    /// Looks at a head; returns what the worker gets for it.
    pub(super) fn see(&mut self, head: Head) -> Option<Countersignature> {
        let seen = match self.watch.see(head) {
            Ok(seen) => seen,
            Err(backwards) => {
                // Calls go on: to stop them would protect nothing, and let whoever can cut a file stop the service.
                if self.complained.is_none_or(|at| at.elapsed() >= TOLD) {
                    self.complained = Some(Instant::now());
                    tracing::error!("incident: {backwards}");
                }
                return None;
            }
        };
        self.shown = Some(Instant::now());
        if self.told.is_none_or(|(_, at)| at.elapsed() >= TOLD) {
            self.tell();
        }
        match seen {
            Seen::Countersigned(countersignature) => Some(countersignature),
            Seen::Noted | Seen::Known => None,
        }
    }

    /// Tells the newest head in the log, unless that was done.
    pub(super) fn tell(&mut self) {
        let newest = self.watch.newest();
        let Some(head) = newest.filter(|head| self.told.is_none_or(|(told, _)| told != *head)) else {
            return;
        };
        self.told = Some((head, Instant::now()));
        let signature = self
            .watch
            .countersigned()
            .filter(|countersigned| countersigned.head == head)
            .map(|countersigned| digits(&countersigned.signature));
        tracing::info!(
            record = head.sequence,
            head = %head.hash,
            signature,
            "the head of the audit trail"
        );
    }

    pub(super) fn trail(&self) -> Trail {
        Trail {
            head: self.watch.newest().zip(self.shown),
            countersigned: self.watch.countersigned(),
            refused: self.watch.refused(),
        }
    }
}
