//! Calls of a channel, by their numbers: so that they can be cancelled for as long as they run.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use dbal_shared::ids::CallId;

use crate::job::Control;

/// Calls that are looked through at least to forget those that are answered.
const FORGOTTEN_TOGETHER: usize = 64;

/// Those that run, and some that are answered.
pub(super) struct Calls {
    by_id: HashMap<CallId, Weak<Control>>,
    /// When there are more, those that are answered are forgotten: what memory they had is used again while it is warm.
    most: usize,
}

/// The number is that of a call that runs.
pub(super) struct InUse;

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            by_id: HashMap::new(),
            most: FORGOTTEN_TOGETHER,
        }
    }

    /// Keeps one for as long as it runs.
    pub(super) fn remember(&mut self, call: CallId, control: &Arc<Control>) -> Result<(), InUse> {
        if self.running(call).is_some() {
            return Err(InUse);
        }
        self.by_id.insert(call, Arc::downgrade(control));
        // Those that are answered keep their memory until they are forgotten.
        if self.by_id.len() > self.most {
            self.by_id.retain(|_, control| control.strong_count() > 0);
            self.most = self.by_id.len().saturating_mul(2).max(FORGOTTEN_TOGETHER);
        }
        Ok(())
    }

    /// The one of that number, if it runs.
    pub(super) fn running(&self, call: CallId) -> Option<Arc<Control>> {
        self.by_id.get(&call).and_then(Weak::upgrade)
    }

    /// All that run.
    pub(super) fn all(&self) -> impl Iterator<Item = Arc<Control>> {
        self.by_id.values().filter_map(Weak::upgrade)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn control() -> Arc<Control> {
        Arc::new(Control::within(Duration::from_secs(1)))
    }

    #[test]
    fn answered_calls_are_forgotten_and_those_that_run_are_not() {
        let mut calls = Calls::new();
        let mut next = (0..).map(CallId);
        for call in next.by_ref().take(100_000) {
            assert!(calls.remember(call, &control()).is_ok());
            assert!(calls.by_id.len() <= FORGOTTEN_TOGETHER + 1, "{call:?}");
        }
        let running: Vec<_> = next.by_ref().take(1_000).map(|call| (call, control())).collect();
        for (call, control) in &running {
            assert!(calls.remember(*call, control).is_ok());
        }
        for call in next.by_ref().take(100_000) {
            assert!(calls.remember(call, &control()).is_ok());
        }
        assert!(
            calls.by_id.len() <= 2 * running.len() + 1,
            "{}",
            calls.by_id.len()
        );
        for (call, control) in &running {
            let known = calls.running(*call);
            assert!(
                known.is_some_and(|known| Arc::ptr_eq(&known, control)),
                "{call:?}"
            );
            assert!(calls.remember(*call, control).is_err());
        }
        assert_eq!(calls.all().count(), running.len());
        drop(running);
        assert!(calls.remember(CallId(0), &control()).is_ok());
        assert_eq!(calls.all().count(), 0);
    }
}
