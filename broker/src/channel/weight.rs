//! What answers weigh that no client has taken yet. Rate limits bound how much one caller asks for; this bounds what all
//! of them together, taking nothing, can make the broker hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of answers that may wait for their clients: thirty-two of the largest.
pub(super) const HELD_BYTES: usize = 256 * 1024 * 1024;

/// The scale. One for the whole broker.
#[derive(Clone, Default)]
pub(super) struct Scale(Arc<AtomicUsize>);

/// The weight of one answer, taken off the scale when dropped: once it is written.
pub struct Weight {
    scale: Scale,
    bytes: usize,
}

impl Scale {
    /// Puts an answer on the scale; none when it is too heavy by now.
    pub(super) fn hold(&self, bytes: usize) -> Option<Weight> {
        let weight = self.must_hold(bytes);
        (self.0.load(Ordering::Relaxed) <= HELD_BYTES).then_some(weight)
    }

    /// The same for answers that can't be given up: what a write did must be told.
    pub(super) fn must_hold(&self, bytes: usize) -> Weight {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Weight {
            scale: self.clone(),
            bytes,
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.scale.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_nobody_takes_are_bounded() {
        let scale = Scale::default();
        let first = scale.hold(HELD_BYTES);
        assert!(first.is_some());
        assert!(scale.hold(1).is_none());
        let written = scale.must_hold(1);
        drop(first);
        assert!(
            scale.hold(HELD_BYTES).is_none(),
            "the write's answer is still there"
        );
        drop(written);
        assert!(scale.hold(HELD_BYTES).is_some());
    }
}
