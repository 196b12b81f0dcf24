//! How many of something each principal has at once: calls that are worked on over all its connections, or the connections
//! themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Numbers by principal. Bounded by what there is of it: who has none is not in it.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<Arc<str>, u32>>);

/// One of them; over when it is dropped.
pub struct Turn {
    turns: Arc<Turns>,
    key: Arc<str>,
}

impl Turns {
    /// One more, unless there are `most` already.
    pub fn begin(self: &Arc<Self>, key: &Arc<str>, most: u32) -> Option<Turn> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(key).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        counts.insert(Arc::clone(key), count.saturating_add(1));
        Some(Turn {
            turns: Arc::clone(self),
            key: Arc::clone(key),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_has_so_many_calls_at_once_and_leaves_nothing_behind() {
        let turns = Arc::new(Turns::default());
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let first = turns.begin(&alice, 2);
        let _second = turns.begin(&alice, 2).unwrap();
        assert!(first.is_some() && turns.begin(&alice, 2).is_none());
        assert!(turns.begin(&bob, 2).is_some(), "another has his own");
        drop(first);
        assert!(turns.begin(&alice, 2).is_some());
        for number in 0..1_000_000 {
            let key: Arc<str> = number.to_string().into();
            assert!(turns.begin(&key, 1).is_some());
        }
        assert_eq!(turns.0.lock().unwrap().len(), 1, "only who has calls takes room");
    }
}
