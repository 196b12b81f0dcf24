//! A bounded queue between the channels and the database's threads, fair between callers: each has a lane, and the one that has
//! had the least of the database's time is next (start-time fair queueing). Counted by calls, who asks for a thousand rows each
//! time would have a thousand times as much of it as who asks for one. A full queue refuses; nothing here grows. What has waited for too long is refused as well: under more demand than
//! can be met all that is served would otherwise have waited nearly as long as its caller has patience.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Whose turn an item counts for. Two callers that share a number share their turns, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(pub u64);

/// What a turn counts for at least, in nanoseconds of the database's time: lanes alternate also where nothing is charged.
const TURN_NS: u64 = 20_000;
/// Lanes that are remembered although nothing of theirs waits.
const REMEMBERED: usize = 4_096;

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

struct State<T> {
    /// None of them is empty.
    lanes: HashMap<Lane, Waiting<T>>,
    /// The lanes that wait, the next one first.
    turns: BTreeMap<Turn, Lane>,
    /// Up to when each lane has used its share, in nanoseconds of a clock that goes as the lanes that wait are served. Those
    /// that the clock has overtaken may be forgotten.
    used: HashMap<Lane, u64>,
    clock: u64,
    last: u64,
    count: usize,
    /// Threads that wait. To ring for nobody is a system call, too.
    sleepers: usize,
    is_closed: bool,
}

/// What a lane has waiting. Items know when they came.
struct Waiting<T> {
    items: VecDeque<(Instant, T)>,
    turn: Turn,
}

/// Up to when a lane has used its share; of several the one that came first.
type Turn = (u64, u64);

impl<T> Queue<T> {
    /// A queue for at most `most` items of all lanes together.
    pub fn new(most: usize) -> Self {
        Self {
            state: Mutex::new(State {
                lanes: HashMap::new(),
                turns: BTreeMap::new(),
                used: HashMap::new(),
                clock: 0,
                last: 0,
                count: 0,
                sleepers: 0,
                is_closed: false,
            }),
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
            if state.count > 0 {
                return Some(self.several(state, most));
            }
            if state.is_closed {
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
            if state.count > 0 || (left.is_zero() && !state.is_closed) {
                return Some(self.several(state, most));
            }
            if state.is_closed {
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
        loop {
            {
                let state = self.state();
                if state.count > 0 {
                    return Some(self.several(state, most));
                }
                if state.is_closed {
                    return None;
                }
            }
            // A ring before this line is kept for it.
            self.rung.notified().await;
        }
    }

    /// An item of this lane has taken so much of the database's time.
    pub fn charge(&self, lane: Lane, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.state().charge(lane, time.saturating_sub(TURN_NS));
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
            && let Some((since, item)) = state.next()
        {
            match &self.patience {
                Some(patience) if patience.has_ended(&item, since, now) => late.push(item),
                Some(_) | None => several.push(item),
            }
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

impl<T> State<T> {
    fn append(&mut self, lane: Lane, item: T) {
        self.count = self.count.saturating_add(1);
        let item = (Instant::now(), item);
        if let Some(waiting) = self.lanes.get_mut(&lane) {
            waiting.items.push_back(item);
            return;
        }
        // Who was away for long has saved nothing up.
        let used = self.used.get(&lane).copied().unwrap_or(0).max(self.clock);
        let turn = self.line_up(lane, used);
        let items = VecDeque::from([item]);
        self.lanes.insert(lane, Waiting { items, turn });
    }

    fn next(&mut self) -> Option<(Instant, T)> {
        let (turn, lane) = self.turns.pop_first()?;
        let waiting = self.lanes.get_mut(&lane)?;
        let item = waiting.items.pop_front()?;
        let is_done = waiting.items.is_empty();
        let (used, _) = turn;
        self.clock = self.clock.max(used);
        if is_done {
            self.lanes.remove(&lane);
            self.remember(lane, used.saturating_add(TURN_NS));
        } else {
            let turn = self.line_up(lane, used.saturating_add(TURN_NS));
            if let Some(waiting) = self.lanes.get_mut(&lane) {
                waiting.turn = turn;
            }
        }
        self.count = self.count.saturating_sub(1);
        Some(item)
    }

    /// Moves the items that `has_ended` says so of.
    fn let_go(&mut self, has_ended: impl Fn(&T, Instant) -> bool, gone: &mut Vec<T>) {
        let mut emptied = Vec::new();
        for (lane, Waiting { items, turn }) in &mut self.lanes {
            if !items.iter().any(|(since, item)| has_ended(item, *since)) {
                continue;
            }
            for (since, item) in std::mem::take(items) {
                if has_ended(&item, since) {
                    self.count = self.count.saturating_sub(1);
                    gone.push(item);
                } else {
                    items.push_back((since, item));
                }
            }
            if items.is_empty() {
                emptied.push((*lane, *turn));
            }
        }
        for (lane, turn) in emptied {
            self.lanes.remove(&lane);
            self.turns.remove(&turn);
            self.remember(lane, turn.0);
        }
    }

    fn charge(&mut self, lane: Lane, time: u64) {
        match self.lanes.get(&lane).map(|waiting| waiting.turn) {
            None => {
                let used = self.used.get(&lane).copied().unwrap_or(0).max(self.clock);
                self.remember(lane, used.saturating_add(time));
            }
            Some(turn) => {
                self.turns.remove(&turn);
                let turn = self.line_up(lane, turn.0.saturating_add(time));
                if let Some(waiting) = self.lanes.get_mut(&lane) {
                    waiting.turn = turn;
                }
            }
        }
    }

    /// Behind all that have used no more.
    fn line_up(&mut self, lane: Lane, used: u64) -> Turn {
        self.last = self.last.saturating_add(1);
        let turn = (used, self.last);
        self.turns.insert(turn, lane);
        turn
    }

    /// Where there are too many that owe something, all are forgiven: nobody loses by it but who asked for little meanwhile.
    fn remember(&mut self, lane: Lane, used: u64) {
        if self.used.len() >= REMEMBERED {
            let clock = self.clock;
            self.used.retain(|_, used| *used > clock);
            if self.used.len() >= REMEMBERED {
                self.used.clear();
            }
        }
        self.used.insert(lane, used);
    }

    /// Takes the last item of the longest lane, if that leaves it no shorter than `lane` becomes.
    fn make_room(&mut self, lane: Lane) -> Option<T> {
        let own = self.lanes.get(&lane).map_or(0, |waiting| waiting.items.len());
        let longest = self
            .lanes
            .values_mut()
            .max_by_key(|waiting| waiting.items.len())?;
        if longest.items.len() <= own.saturating_add(1) {
            return None;
        }
        self.count = self.count.saturating_sub(1);
        longest.items.pop_back().map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
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
        queue.charge(ALICE, long);
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
            queue.charge(if item < 20 { ALICE } else { BOB }, time);
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
            queue.charge(Lane(lane), Duration::from_secs(1));
        }
        let state = queue.state();
        assert!(state.used.len() <= REMEMBERED && state.lanes.is_empty() && state.turns.is_empty());
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
