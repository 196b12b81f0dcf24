//! What each caller may have of something at once. Who wants more waits until some of their own is given back, in the order in
//! which they asked; nobody waits for another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shares by caller. Bounded by what is asked for: who has none and waits for none is not in it.
pub struct Shares {
    callers: Mutex<HashMap<Arc<str>, Caller>>,
    each: u32,
}

struct Caller {
    room: Arc<Semaphore>,
    /// Shares that it has or waits for.
    asked: usize,
}

/// Some of a caller's share; given back when dropped.
pub struct Share {
    shares: Arc<Shares>,
    caller: Arc<str>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Shares {
    /// So much for each caller.
    pub fn new(each: u32) -> Arc<Self> {
        Arc::new(Self {
            callers: Mutex::default(),
            each,
        })
    }

    /// So much of the caller's share, or all of it if that is less, once there is room.
    pub async fn take(self: &Arc<Self>, caller: &Arc<str>, wanted: u32) -> Share {
        let wanted = wanted.clamp(1, self.each.max(1));
        let (mut share, room) = self.ask(caller);
        // Nobody closes a semaphore here.
        share.taken = room.acquire_many_owned(wanted).await.ok();
        share
    }

    fn ask(self: &Arc<Self>, key: &Arc<str>) -> (Share, Arc<Semaphore>) {
        let mut callers = self.callers();
        let caller = callers.entry(Arc::clone(key)).or_insert_with(|| Caller {
            room: Arc::new(Semaphore::new(
                usize::try_from(self.each.max(1)).unwrap_or(usize::MAX),
            )),
            asked: 0,
        });
        caller.asked = caller.asked.saturating_add(1);
        let share = Share {
            shares: Arc::clone(self),
            caller: Arc::clone(key),
            taken: None,
        };
        (share, Arc::clone(&caller.room))
    }

    /// No step under the lock can leave the table half-made.
    fn callers(&self) -> MutexGuard<'_, HashMap<Arc<str>, Caller>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Keeps no more than so much of it.
    pub fn keep(&mut self, most: u32) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if let Some(taken) = &mut self.taken {
            let surplus = taken.num_permits().saturating_sub(most);
            drop(taken.split(surplus));
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        drop(self.taken.take());
        let mut callers = self.shares.callers();
        if let Some(caller) = callers.get_mut(&self.caller) {
            caller.asked = caller.asked.saturating_sub(1);
            if caller.asked == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn who_wants_more_than_their_share_waits_for_their_own_and_leaves_nothing_behind() {
        let shares = Shares::new(10);
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let first = shares.take(&alice, 7).await;
        let mut second = Box::pin(shares.take(&alice, 7));
        let mut third = Box::pin(shares.take(&alice, 1));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none(), "it would overtake");
        assert!(shares.take(&bob, 10).now_or_never().is_some(), "another's share");
        drop(first);
        let mut second = second.await;
        drop(third.await);
        let mut fourth = Box::pin(shares.take(&alice, 8));
        assert!(fourth.as_mut().now_or_never().is_none());
        second.keep(2);
        drop(fourth.await);
        // Who gives up waiting leaves the place to the next; who wants more than all gets all.
        let mut given_up = Box::pin(shares.take(&alice, 9));
        assert!(given_up.as_mut().now_or_never().is_none());
        drop(given_up);
        drop(second);
        drop(shares.take(&alice, 1_000).await);
        assert!(shares.callers().is_empty());
    }
}
