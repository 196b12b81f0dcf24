//! What waits, lane by lane, and whose turn it is: all that is behind the queue's lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::at_work::AtWork;
use super::places::Places;
use super::{Bill, ByLane, Lane, SHORT};

/// What a turn counts for at least, in nanoseconds of the database's time: lanes alternate also where nothing is charged.
const TURN_NS: u64 = 20_000;
/// Lanes that are remembered although nothing of theirs waits.
pub(super) const REMEMBERED: usize = 4_096;

/// All that waits.
pub(super) struct State<T> {
    /// None of them is empty.
    pub(super) lanes: ByLane<Waiting<T>>,
    /// How much waits in each lane, from when the queue is full until it is half empty: only a full one asks which is the longest.
    pub(super) lengths: Option<BTreeSet<(usize, Lane)>>,
    /// None where nobody can have too much at once.
    pub(super) at_work: Option<AtWork>,
    /// None where nobody shares any.
    pub(super) places: Option<Places>,
    /// The lanes that wait, the next one first.
    pub(super) turns: BTreeMap<Turn, Lane>,
    /// Up to when each lane has used its share, in nanoseconds of a clock that goes as the lanes that wait are served. Those
    /// that the clock has overtaken may be forgotten.
    pub(super) used: ByLane<u64>,
    clock: u64,
    last: u64,
    pub(super) count: usize,
    /// Threads that wait. To ring for nobody is a system call, too.
    pub(super) sleepers: usize,
    pub(super) is_closed: bool,
}

/// What a lane has waiting. Items know when they came.
pub(super) struct Waiting<T> {
    pub(super) items: VecDeque<(Instant, T)>,
    turn: Turn,
}

/// Up to when a lane has used its share; of several the one that came first.
type Turn = (u64, u64);

impl<T> State<T> {
    pub(super) fn new() -> Self {
        Self {
            lanes: ByLane::default(),
            lengths: None,
            at_work: None,
            places: None,
            turns: BTreeMap::new(),
            used: ByLane::default(),
            clock: 0,
            last: 0,
            count: 0,
            sleepers: 0,
            is_closed: false,
        }
    }

    /// Whether something can be taken.
    pub(super) fn is_ready(&self) -> bool {
        let takes_any = self.at_work.is_none() && self.places.is_none();
        self.count > 0 && (takes_any || self.first(Instant::now()).is_some())
    }

    pub(super) fn has_ended(&self) -> bool {
        self.is_closed && self.count == 0
    }

    /// The lane that is next. Before it stand no more of those that have enough at work than there are connections for.
    fn first(&self, now: Instant) -> Option<(Turn, Lane)> {
        let mut turns = self.turns.iter().map(|(turn, lane)| (*turn, *lane));
        let (at_work, places) = (self.at_work.as_ref(), self.places.as_ref());
        turns.find(|(_, lane)| {
            // At the end nobody comes any more who would be kept waiting.
            self.is_closed
                || (at_work.is_none_or(|at_work| at_work.has_room_for(*lane, now))
                    && places.is_none_or(|places| places.have_room_for(*lane)))
        })
    }

    pub(super) fn append(&mut self, lane: Lane, item: T) {
        self.count = self.count.saturating_add(1);
        let item = (Instant::now(), item);
        if let Some(waiting) = self.lanes.get_mut(&lane) {
            waiting.items.push_back(item);
            let length = waiting.items.len();
            self.resized(lane, length.saturating_sub(1), length);
            return;
        }
        // Who was away for long has saved nothing up.
        let used = self.used.get(&lane).copied().unwrap_or(0).max(self.clock);
        let turn = self.line_up(lane, used);
        let items = VecDeque::from([item]);
        self.lanes.insert(lane, Waiting { items, turn });
        self.resized(lane, 0, 1);
    }

    pub(super) fn next(&mut self, now: Instant) -> Option<(Lane, Instant, T)> {
        let (turn, lane) = self.first(now)?;
        self.turns.remove(&turn);
        let waiting = self.lanes.get_mut(&lane)?;
        let (since, item) = waiting.items.pop_front()?;
        let left = waiting.items.len();
        let is_done = left == 0;
        self.resized(lane, left.saturating_add(1), left);
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
        Some((lane, since, item))
    }

    /// Moves the items that `has_ended` says so of.
    pub(super) fn let_go(&mut self, has_ended: impl Fn(&T, Instant) -> bool, gone: &mut Vec<T>) {
        let mut emptied = Vec::new();
        self.lengths = None;
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

    /// What is on the bill is done.
    pub(super) fn settle(&mut self, bill: &mut Bill) {
        for (lane, time) in bill.0.drain(..) {
            if let Some(places) = &mut self.places {
                places.end(lane);
            }
            if time > SHORT {
                self.charge(lane, time);
            }
        }
    }

    pub(super) fn charge(&mut self, lane: Lane, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // That much its turn has counted for.
        let time = time.saturating_sub(TURN_NS);
        if time == 0 {
            return;
        }
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
    pub(super) fn make_room(&mut self, lane: Lane) -> Option<T> {
        let own = self.lanes.get(&lane).map_or(0, |waiting| waiting.items.len());
        let lanes = &self.lanes;
        let all = || lanes.iter().map(|(lane, waiting)| (waiting.items.len(), *lane));
        let lengths = self.lengths.get_or_insert_with(|| all().collect());
        let (length, longest) = *lengths.last()?;
        if length <= own.saturating_add(1) {
            return None;
        }
        // INVARIANT: at least another one of it stays, so its turn does, too.
        let (_, item) = self.lanes.get_mut(&longest)?.items.pop_back()?;
        self.count = self.count.saturating_sub(1);
        self.resized(longest, length, length.saturating_sub(1));
        Some(item)
    }

    fn resized(&mut self, lane: Lane, before: usize, after: usize) {
        if let Some(lengths) = &mut self.lengths {
            lengths.remove(&(before, lane));
            if after > 0 {
                lengths.insert((after, lane));
            }
        }
    }
}
