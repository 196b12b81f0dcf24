//! A bounded queue between the channels and the database's threads, fair between callers: each has a lane, and the one that has
//! had the least of the database's time is next (start-time fair queueing). Counted by calls, who asks for a thousand rows each
//! time would have a thousand times as much of it as who asks for one. A full queue refuses the last call of the longest lane; nothing here grows. What has
//! waited for too long is refused as well: under more demand than can be met all that is served would otherwise have waited nearly as long as
//! its caller has patience.

mod at_work;
mod lane;
mod places;
mod order;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use at_work::AtWork;
use order::State;
use places::Places;

pub use lane::{ByLane, Lane};

/// What is too short to be told from waiting for one another is not charged: it has counted as a turn.
const SHORT: Duration = Duration::from_micros(100);

/// A queue that many threads fill and empty.
pub struct Queue<T> {
    state: Mutex<State<T>>,
    /// For threads that wait.
    filled: Condvar,
    /// For a task that waits.
    rung: Notify,
    most: usize,
    patience: Option<Patience<T>>,
}

/// What calls have taken of the database's time and nobody has charged yet.
#[derive(Debug, Default)]
pub struct Bill(Vec<(Lane, Duration)>);

impl Bill {
    /// An item of this lane is done, and has taken so much.
    pub fn add(&mut self, lane: Lane, time: Duration) {
        self.0.push((lane, time));
    }

    /// What another one has as well.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What it has of a lane.
    #[cfg(test)]
    pub(super) fn of(&self, lane: Lane) -> Duration {
        let own = self.0.iter().filter(|(other, _)| *other == lane);
        own.map(|(_, time)| *time).sum()
    }
}

/// An item that is at work. When this is dropped, it is done.
pub struct Service<T> {
    queue: Arc<Queue<T>>,
    lane: Lane,
    time: Duration,
}

impl<T> Service<T> {
    /// Of an item of this lane, which was taken from this queue.
    pub fn begin(queue: &Arc<Queue<T>>, lane: Lane) -> Self {
        Self {
            queue: Arc::clone(queue),
            lane,
            time: Duration::ZERO,
        }
    }

    /// It has had a connection for so long, or longer if it had one before.
    pub fn took(&mut self, time: Duration) {
        self.time = self.time.saturating_add(time);
    }
}

impl<T> Drop for Service<T> {
    fn drop(&mut self) {
        self.queue.done(self.lane, self.time);
    }
}

/// How long an item may wait.
struct Patience<T> {
    longest: Duration,
    /// Whether nobody waits for it any more.
    is_over: fn(&T) -> bool,
    /// What is done with one that has waited for longer, or that nobody waits for.
    tell: fn(T),
}

impl<T> Patience<T> {
    fn has_ended(&self, item: &T, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) > self.longest || (self.is_over)(item)
    }
}

impl<T> Queue<T> {
    /// A queue for at most `most` items of all lanes together.
    pub fn new(most: usize) -> Self {
        Self {
            state: Mutex::new(State::new()),
            filled: Condvar::new(),
            rung: Notify::new(),
            most,
            patience: None,
        }
    }

    /// The same; what has waited for longer than `longest`, or that nobody waits for, goes to `tell` instead: when its turn comes, or
    /// by [`Queue::expire`].
    #[must_use]
    pub fn with_patience(self, longest: Duration, is_over: fn(&T) -> bool, tell: fn(T)) -> Self {
        Self {
            patience: Some(Patience {
                longest,
                is_over,
                tell,
            }),
            ..self
        }
    }

    /// The same, served by so many connections, of which a lane whose items take long gets not all. Who takes an item owes a
    /// [`Queue::done`].
    #[must_use]
    pub fn on_connections(self, count: usize) -> Self {
        self.state().at_work = AtWork::on(count);
        self
    }

    /// From now on a lane has at most three quarters of so many places. Who takes items owes a bill for each.
    pub fn in_places(&self, count: usize) {
        self.state().places = Some(Places::among(count));
    }

    /// Lets go of what has waited for too long, though nobody takes anything.
    pub fn expire(&self) {
        let Some(patience) = &self.patience else {
            return;
        };
        let mut late = Vec::new();
        {
            let mut state = self.state();
            let now = Instant::now();
            state.let_go(|item, since| patience.has_ended(item, since, now), &mut late);
        }
        late.into_iter().for_each(patience.tell);
    }

    /// Puts an item in. A full queue gives one back that finds no place: the last of the longest lane, so that who asks for
    /// much makes room for who asks for little; a closed one gives back the item itself.
    pub fn push(&self, lane: Lane, item: T) -> Result<(), T> {
        let mut state = self.state();
        if state.is_closed {
            return Err(item);
        }
        let displaced = if state.count >= self.most {
            match state.make_room(lane) {
                Some(displaced) => Some(displaced),
                None => return Err(item),
            }
        } else {
            None
        };
        state.append(lane, item);
        let is_awaited = state.sleepers > 0;
        drop(state);
        if is_awaited {
            self.filled.notify_one();
        }
        self.rung.notify_one();
        displaced.map_or(Ok(()), Err)
    }

    /// Waits for items and takes at most `most` of them, in turns; none when the queue is closed and empty. An empty list where
    /// all that waited has waited for too long.
    pub fn take(&self, most: usize) -> Option<Vec<T>> {
        let mut state = self.state();
        loop {
            if state.is_ready() {
                return Some(self.several(state, most));
            }
            if state.has_ended() {
                return None;
            }
            state.sleepers = state.sleepers.saturating_add(1);
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleepers = state.sleepers.saturating_sub(1);
        }
    }

    /// As [`Queue::take`], but waits no longer than until `due`, and then brings nothing.
    pub fn take_until(&self, most: usize, due: Instant) -> Option<Vec<T>> {
        let mut state = self.state();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if state.is_ready() || (left.is_zero() && !state.is_closed) {
                return Some(self.several(state, most));
            }
            if state.has_ended() {
                return None;
            }
            state.sleepers = state.sleepers.saturating_add(1);
            let waited = self.filled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.sleepers = state.sleepers.saturating_sub(1);
        }
    }

    /// As [`Queue::take`], for the one task that empties this queue. Nothing is lost when it is dropped.
    pub async fn taken(&self, most: usize) -> Option<Vec<T>> {
        self.taken_after(&mut Bill::default(), most).await
    }

    /// The same, when the bill is settled. It is empty afterwards.
    pub async fn taken_after(&self, bill: &mut Bill, most: usize) -> Option<Vec<T>> {
        loop {
            {
                let mut state = self.state();
                state.settle(bill);
                if state.is_ready() {
                    return Some(self.several(state, most));
                }
                if state.has_ended() {
                    return None;
                }
            }
            // A ring before this line is kept for it.
            self.rung.notified().await;
        }
    }

    /// An item of this lane is done, and has taken so much of the database's time.
    pub fn done(&self, lane: Lane, time: Duration) {
        let mut state = self.state();
        state.charge(lane, time);
        let Some(at_work) = &mut state.at_work else {
            return;
        };
        at_work.end(lane, time);
        // What waited for it may go.
        let is_awaited = state.count > 0 && state.sleepers > 0;
        let is_rung = state.count > 0;
        drop(state);
        if is_awaited {
            self.filled.notify_one();
        }
        if is_rung {
            self.rung.notify_one();
        }
    }

    /// The same for several, of a queue that nobody waits for. The bill is empty afterwards.
    pub fn settle(&self, bill: &mut Bill) {
        self.state().settle(bill);
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.state().count
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it takes no more.
    pub fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Takes no more; what waits is still handed out.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.filled.notify_all();
        self.rung.notify_one();
    }

    /// Takes items in turns until it has so many that are wanted. The late ones are told after the lock is gone.
    fn several(&self, mut state: MutexGuard<'_, State<T>>, most: usize) -> Vec<T> {
        let mut several = Vec::with_capacity(state.count.min(most));
        let mut late = Vec::new();
        let now = Instant::now();
        while several.len() < most
            && let Some((lane, since, item)) = state.next(now)
        {
            match &self.patience {
                Some(patience) if patience.has_ended(&item, since, now) => late.push(item),
                Some(_) | None => {
                    if let Some(at_work) = &mut state.at_work {
                        at_work.begin(lane, now);
                    }
                    if let Some(places) = &mut state.places {
                        places.begin(lane);
                    }
                    several.push(item);
                }
            }
        }
        if state.count < self.most.div_euclid(2) {
            state.lengths = None;
        }
        drop(state);
        if let Some(patience) = &self.patience {
            late.into_iter().for_each(patience.tell);
        }
        several
    }

    /// No step under the lock can leave the state half-made.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::order::REMEMBERED;
    use super::*;

    const ALICE: Lane = Lane(1);
    const BOB: Lane = Lane(2);

    #[test]
    fn a_full_queue_gives_the_item_back() {
        let queue = Queue::new(2);
        assert_eq!(
            (queue.push(ALICE, 1), queue.push(ALICE, 2), queue.push(ALICE, 3)),
            (Ok(()), Ok(()), Err(3))
        );
        assert_eq!(queue.take(10), Some(vec![1, 2]));
    }

    #[test]
    fn callers_take_turns_whoever_asked_for_more() {
        let queue = Queue::new(10);
        for item in [10, 11, 12] {
            queue.push(ALICE, item).unwrap();
        }
        queue.push(BOB, 20).unwrap();
        assert_eq!(queue.take(2), Some(vec![10, 20]));
        queue.push(BOB, 21).unwrap();
        assert_eq!(queue.take(10), Some(vec![11, 21, 12]));
        assert!(queue.is_empty());
    }

    #[test]
    fn who_takes_the_databases_time_comes_behind_who_takes_little_of_it() {
        let queue = Queue::new(100);
        for item in 10..20 {
            queue.push(ALICE, item).unwrap();
        }
        let long = Duration::from_millis(10);
        assert_eq!(queue.take(1), Some(vec![10]));
        queue.done(ALICE, long);
        for item in 20..25 {
            queue.push(BOB, item).unwrap();
        }
        let mut order = Vec::new();
        while order.len() < 12 {
            let item = queue.take(1).unwrap()[0];
            let time = if item < 20 {
                long
            } else {
                Duration::from_micros(100)
            };
            queue.done(if item < 20 { ALICE } else { BOB }, time);
            order.push(item);
            // Bob asks for one thing after another, and is away between.
            if (24..30).contains(&item) {
                queue.push(BOB, item + 1).unwrap();
            }
        }
        assert_eq!(order, [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 11]);
        assert_eq!(queue.take(100), Some((12..20).collect()));
    }

    #[test]
    fn what_lanes_have_used_is_forgotten_when_it_is_too_much() {
        let queue = Queue::new(10);
        for lane in 0..3 * u64::try_from(REMEMBERED).unwrap() {
            queue.push(Lane(lane), 0).unwrap();
            assert_eq!(queue.take(1), Some(vec![0]));
            queue.done(Lane(lane), Duration::from_secs(1));
        }
        let state = queue.state();
        assert!(state.used.len() <= REMEMBERED && state.lanes.is_empty() && state.turns.is_empty());
    }

    #[tokio::test]
    async fn nobody_has_all_of_the_places() {
        let queue = Queue::new(100);
        queue.in_places(8);
        for item in 10..20 {
            queue.push(ALICE, item).unwrap();
        }
        let mut bill = Bill::default();
        assert_eq!(
            queue.taken_after(&mut bill, 8).await.unwrap().len(),
            6,
            "of eight"
        );
        assert!(!queue.state().is_ready());
        queue.push(BOB, 20).unwrap();
        assert_eq!(queue.taken_after(&mut bill, 2).await, Some(vec![20]));
        bill.add(ALICE, Duration::ZERO);
        bill.add(BOB, Duration::ZERO);
        assert_eq!(queue.taken_after(&mut bill, 3).await, Some(vec![16]));
        queue.close();
        assert_eq!(
            queue.taken_after(&mut bill, 8).await.unwrap().len(),
            3,
            "nobody else comes"
        );
        for _ in 0..9 {
            bill.add(ALICE, Duration::ZERO);
        }
        assert_eq!(queue.taken_after(&mut bill, 8).await, None);
    }

    #[test]
    fn who_fills_the_queue_makes_room_for_the_others() {
        let queue = Queue::new(3);
        for item in [10, 11, 12] {
            queue.push(ALICE, item).unwrap();
        }
        assert_eq!(queue.push(BOB, 20), Err(12));
        // Two of Alice's and one of Bob's: a second one of Bob's would only turn the tables.
        assert_eq!(queue.push(BOB, 21), Err(21));
        assert_eq!((queue.len(), queue.take(10)), (3, Some(vec![10, 20, 11])));
    }

    /// As whoever counts all lanes each time would do it.
    #[test]
    fn it_is_always_the_longest_lane_that_makes_room() {
        let queue = Queue::new(64);
        let mut seed = 7_u64;
        let mut next = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % bound
        };
        let (mut displaced, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let before: HashMap<Lane, usize> = {
                let state = queue.state();
                state
                    .lanes
                    .iter()
                    .map(|(lane, waiting)| (*lane, waiting.items.len()))
                    .collect()
            };
            // The first ones send more.
            let lane = Lane(next(12).min(next(12)));
            let own = before.get(&lane).copied().unwrap_or(0);
            let longest = before.values().copied().max().unwrap_or(0);
            match queue.push(lane, lane) {
                Ok(()) => assert!(queue.len() <= 64),
                Err(other) if other == lane => {
                    refused += 1;
                    assert!(longest <= own + 1, "{own} {longest}");
                }
                Err(other) => {
                    displaced += 1;
                    assert_eq!(before[&other], longest);
                    assert!(longest > own + 1);
                }
            }
            if next(200) == 0 {
                let most = usize::try_from(next(64)).unwrap();
                queue.take(most);
            } else if next(5) == 0 {
                queue.take(1);
            }
            let state = queue.state();
            assert_eq!(
                state.count,
                state.lanes.values().map(|it| it.items.len()).sum::<usize>()
            );
            assert_eq!(state.lanes.len(), state.turns.len());
            if let Some(lengths) = &state.lengths {
                let all = state.lanes.iter().map(|(lane, it)| (it.items.len(), *lane));
                assert_eq!(*lengths, all.collect());
            }
        }
        assert!(displaced > 1_000 && refused > 1_000, "{displaced} {refused}");
    }

    #[test]
    fn whose_items_take_long_leaves_a_connection_to_the_others_and_gets_it_at_the_end() {
        let long = Duration::from_secs(1);
        let queue = Arc::new(Queue::new(100).on_connections(4));
        queue.push(ALICE, 10).unwrap();
        assert_eq!(queue.take(4), Some(vec![10]));
        queue.done(ALICE, long);
        for item in 11..17 {
            queue.push(ALICE, item).unwrap();
        }
        assert_eq!(queue.take(4), Some(vec![11, 12, 13]));
        let soon = || Instant::now() + Duration::from_millis(10);
        assert_eq!(
            queue.take_until(4, soon()),
            Some(Vec::new()),
            "the fourth is for others"
        );
        queue.push(BOB, 20).unwrap();
        assert_eq!(queue.take(4), Some(vec![20]));
        // Whoever waits is woken when one of Alice's is done, however that comes about.
        let waiting = Arc::clone(&queue);
        let late = Instant::now() + Duration::from_secs(20);
        let thread = std::thread::spawn(move || waiting.take_until(1, late));
        while queue.state().sleepers == 0 {
            std::thread::yield_now();
        }
        drop(Service::begin(&queue, ALICE));
        assert_eq!(thread.join().unwrap(), Some(vec![14]));
        queue.close();
        assert_eq!((queue.take(4), queue.take(4)), (Some(vec![15, 16]), None));
    }

    #[test]
    fn a_bill_is_charged_when_it_is_settled_but_for_what_is_short() {
        let queue = Queue::new(10);
        let mut bill = Bill::default();
        bill.add(BOB, SHORT);
        bill.add(ALICE, Duration::from_millis(1));
        queue.settle(&mut bill);
        assert!(bill.0.is_empty());
        for item in [10, 11] {
            queue.push(ALICE, item).unwrap();
        }
        for item in [20, 21] {
            queue.push(BOB, item).unwrap();
        }
        assert_eq!(queue.take(10), Some(vec![20, 21, 10, 11]));
    }

    #[test]
    fn a_task_takes_what_comes_while_it_waits_and_learns_of_the_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let queue = std::sync::Arc::new(Queue::new(10));
        let other = std::sync::Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            for item in 0..100 {
                while other.push(ALICE, item).is_err() {
                    std::thread::yield_now();
                }
            }
            other.close();
        });
        let taken = runtime.block_on(async {
            let mut all = Vec::new();
            while let Some(some) = queue.taken(3).await {
                assert!(!some.is_empty() && some.len() <= 3);
                all.extend(some);
            }
            all
        });
        thread.join().unwrap();
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn who_waits_for_a_time_gets_what_comes_nothing_when_it_is_over_and_the_end() {
        let queue = Queue::new(2);
        let soon = || Instant::now() + std::time::Duration::from_millis(20);
        let due = soon();
        assert_eq!(queue.take_until(1, due), Some(Vec::new()));
        assert!(Instant::now() >= due);
        queue.push(ALICE, 1).unwrap();
        // What is there comes although it is late.
        assert_eq!(queue.take_until(1, due), Some(vec![1]));
        std::thread::scope(|scope| {
            let long = || queue.take_until(1, Instant::now() + std::time::Duration::from_mins(1));
            let other = scope.spawn(move || [long(), long()]);
            std::thread::sleep(std::time::Duration::from_millis(20));
            queue.push(ALICE, 2).unwrap();
            queue.close();
            assert_eq!(other.join().unwrap(), [Some(vec![2]), None]);
        });
        assert_eq!(queue.take_until(1, due), None);
    }

    #[test]
    fn what_has_waited_for_too_long_is_told_and_makes_way_for_what_has_not() {
        static LATE: Mutex<Vec<i32>> = Mutex::new(Vec::new());
        let queue = Queue::new(10).with_patience(
            Duration::from_millis(200),
            |_| false,
            |item| LATE.lock().unwrap().push(item),
        );
        for item in [10, 11] {
            queue.push(ALICE, item).unwrap();
        }
        queue.push(BOB, 20).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        queue.push(BOB, 21).unwrap();
        assert_eq!(queue.take(2), Some(vec![21]));
        assert_eq!(*LATE.lock().unwrap(), [10, 20, 11]);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_waits_no_more_leaves_though_nobody_takes_anything() {
        static GONE: Mutex<Vec<i32>> = Mutex::new(Vec::new());
        let queue = Queue::new(10).with_patience(
            Duration::from_mins(1),
            |item| item % 2 == 1,
            |item| GONE.lock().unwrap().push(item),
        );
        for item in [10, 11, 12, 13] {
            queue.push(ALICE, item).unwrap();
        }
        queue.push(BOB, 21).unwrap();
        queue.expire();
        assert_eq!(queue.len(), 2);
        // Bob has no turn left, and takes one when he comes again.
        queue.push(BOB, 22).unwrap();
        assert_eq!(queue.take(10), Some(vec![10, 22, 12]));
        queue.expire();
        let mut gone = GONE.lock().unwrap().clone();
        gone.sort_unstable();
        assert_eq!((gone, queue.is_empty()), (vec![11, 13, 21], true));
    }

    #[test]
    fn a_closed_queue_hands_out_what_waits_and_then_ends() {
        let queue = Queue::new(2);
        queue.push(ALICE, 1).unwrap();
        queue.close();
        assert_eq!(queue.push(ALICE, 2), Err(2));
        assert_eq!(queue.take(1), Some(vec![1]));
        assert_eq!(queue.take(1), None);
    }
}
