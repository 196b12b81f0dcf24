//! What a call has for itself while the database works on it: a connection, or a place where there may be one. Neither those that
//! read nor those that change something get all of them, so that neither can shut the other out. Who waits is served in turn.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::queue::{Queue, Service};
use crate::job::{Control, Job, Refusal, Task};

/// How often a call that waits looks whether there is hope.
const LOOK: Duration = Duration::from_millis(50);

/// What a call is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes nothing.
    Read,
    /// Neither does this, but it may take long, and there are reads that don't. They don't wait for it.
    LongRead,
    /// Changes something.
    Change,
}

impl Kind {
    pub(super) fn of(task: &Task) -> Self {
        if task.is_write() { Kind::Change } else { Kind::Read }
    }
}

/// Something that is lent.
pub(super) trait Lent {
    /// Whether another call may have it. What may not is dropped.
    fn is_fit(&self) -> bool;
}

/// How many of so many one kind has at most.
pub(super) fn at_once(count: usize, kind: Kind) -> usize {
    // All but one, which is for changes or else for reads; where there is no more than one they take turns.
    let most = count.saturating_sub(1).max(1);
    match kind {
        Kind::LongRead if most > 2 => most.saturating_sub(1),
        Kind::Read | Kind::LongRead | Kind::Change => most,
    }
}

/// All of them, lent or not.
pub(super) struct Leasing<T: Lent>(RefCell<State<T>>);

struct State<T: Lent> {
    idle: Vec<T>,
    reads: usize,
    long_reads: usize,
    changes: usize,
    waiting: VecDeque<(Kind, oneshot::Sender<Lease<T>>)>,
}

/// One of them, given back when this is dropped.
pub(super) struct Lease<T: Lent> {
    leasing: Rc<Leasing<T>>,
    kind: Kind,
    item: Option<T>,
}

impl<T: Lent> State<T> {
    fn count(&self) -> usize {
        let read = self.reads.saturating_add(self.long_reads);
        self.idle.len().saturating_add(read).saturating_add(self.changes)
    }

    fn lent(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Read => &mut self.reads,
            Kind::LongRead => &mut self.long_reads,
            Kind::Change => &mut self.changes,
        }
    }

    fn may_have_more(&self, kind: Kind) -> bool {
        let (count, read) = (self.count(), self.reads.saturating_add(self.long_reads));
        match kind {
            Kind::Read => read < at_once(count, kind),
            Kind::LongRead => read < at_once(count, Kind::Read) && self.long_reads < at_once(count, kind),
            Kind::Change => self.changes < at_once(count, kind),
        }
    }
}

impl<T: Lent> Leasing<T> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::new(State {
            idle: Vec::new(),
            reads: 0,
            long_reads: 0,
            changes: 0,
            waiting: VecDeque::new(),
        })))
    }

    /// One more.
    pub(super) fn add(self: &Rc<Self>, item: T) {
        self.0.borrow_mut().idle.push(item);
        self.hand_out();
    }

    /// Whether there is none, lent or not.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().count() == 0
    }

    /// Lets go of those that nobody has and that `is_gone` says so of.
    pub(super) fn let_go(&self, is_gone: impl Fn(&T) -> bool) {
        // Dropped when nothing is borrowed any more.
        let _gone: Vec<T> = {
            let mut state = self.0.borrow_mut();
            let (gone, rest) = std::mem::take(&mut state.idle).into_iter().partition(is_gone);
            state.idle = rest;
            gone
        };
    }

    /// Waits for one, as long as the call's caller does and there is hope.
    pub(super) async fn lease(
        self: &Rc<Self>,
        kind: Kind,
        control: &Control,
        is_hopeless: impl Fn() -> Option<Refusal>,
    ) -> Result<Lease<T>, Refusal> {
        let mut awaited = self.await_turn(kind);
        loop {
            if let Some(refusal) = control.over() {
                return Err(refusal);
            }
            if let Ok(lease) = awaited.try_recv() {
                return Ok(lease);
            }
            if let Some(refusal) = is_hopeless() {
                return Err(refusal);
            }
            tokio::select! {
                biased;
                Ok(lease) = &mut awaited => return Ok(lease),
                () = control.ended() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    fn await_turn(self: &Rc<Self>, kind: Kind) -> oneshot::Receiver<Lease<T>> {
        let (waiter, awaited) = oneshot::channel();
        self.0.borrow_mut().waiting.push_back((kind, waiter));
        self.hand_out();
        awaited
    }

    fn hand_out(self: &Rc<Self>) {
        while let Some((waiter, lease)) = self.next() {
            // It is awaited: nothing else has run since `next` looked. If it were not, it would come back.
            let _ = waiter.send(lease);
        }
    }

    fn next(self: &Rc<Self>) -> Option<(oneshot::Sender<Lease<T>>, Lease<T>)> {
        let mut state = self.0.borrow_mut();
        state.waiting.retain(|(_, waiter)| !waiter.is_closed());
        let at = state
            .waiting
            .iter()
            .position(|(kind, _)| state.may_have_more(*kind))?;
        // The one that was used last: it has most of what the next call needs.
        let item = state.idle.pop()?;
        let Some((kind, waiter)) = state.waiting.remove(at) else {
            state.idle.push(item);
            return None;
        };
        let lent = state.lent(kind);
        *lent = lent.saturating_add(1);
        let lease = Lease {
            leasing: Rc::clone(self),
            kind,
            item: Some(item),
        };
        Some((waiter, lease))
    }
}

impl<T: Lent> Lease<T> {
    /// What is lent.
    pub(super) fn item(&mut self) -> Option<&mut T> {
        self.item.as_mut()
    }
}

impl<T: Lent> Drop for Lease<T> {
    fn drop(&mut self) {
        // What is not fit is dropped here, when nothing is borrowed.
        let item = self.item.take().filter(Lent::is_fit);
        {
            let mut state = self.leasing.0.borrow_mut();
            let lent = state.lent(self.kind);
            *lent = lent.saturating_sub(1);
            state.idle.extend(item);
        }
        self.leasing.hand_out();
    }
}

/// Serves a queue until it is closed and empty and every call of it is answered. A call is taken when those before it have what
/// they need: the others wait in the queue, where they take turns.
pub(super) async fn serve<L: 'static>(
    queue: &Arc<Queue<Job>>,
    lease: impl AsyncFn(&Control) -> Result<L, Refusal>,
    run: impl AsyncFn(Job, L, Service<Job>) + Clone + 'static,
) {
    let mut calls = JoinSet::new();
    while let Some(jobs) = queue.taken(1).await {
        for job in jobs {
            let service = Service::begin(queue, job.ticket.lane());
            match lease(job.ticket.control()).await {
                Ok(lease) => {
                    let run = run.clone();
                    calls.spawn_local(async move { run(job, lease, service).await });
                }
                Err(refusal) => job.answer(Err(refusal)),
            }
        }
        while let Some(ended) = calls.try_join_next() {
            let _ = told(ended);
        }
    }
    while let Some(ended) = calls.join_next().await {
        let _ = told(ended);
    }
}

/// What a call's task has to tell at its end.
pub(super) fn told<T>(ended: Result<T, tokio::task::JoinError>) -> Option<T> {
    ended
        .inspect_err(|error| tracing::error!(%error, "a call ended badly"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Change, LongRead, Read};

    /// A number; fit while it is even.
    impl Lent for u32 {
        fn is_fit(&self) -> bool {
            self.is_multiple_of(2)
        }
    }

    fn of(count: u32) -> Rc<Leasing<u32>> {
        let leasing = Leasing::new();
        (0..count).for_each(|nth| leasing.add(nth.saturating_mul(2)));
        leasing
    }

    #[test]
    fn neither_kind_gets_all_and_the_last_is_the_other_ones() {
        for (one, other) in [(Read, Change), (Change, Read)] {
            let leasing = of(4);
            let mut waiting: Vec<_> = (0..6).map(|_| leasing.await_turn(one)).collect();
            let lent: Vec<_> = waiting.iter_mut().filter_map(|it| it.try_recv().ok()).collect();
            assert_eq!(lent.len(), 3);
            let others = leasing.await_turn(other).try_recv().unwrap();
            drop(others);
            assert!(waiting[3].try_recv().is_err(), "it is kept for the other kind");
            drop(lent);
            assert!(waiting[3].try_recv().is_ok());
        }
    }

    #[test]
    fn long_reads_leave_one_to_others_and_get_none_that_is_for_changes() {
        let leasing = of(5);
        let waiting = |kind| (0..6).map(|_| leasing.await_turn(kind)).collect::<Vec<_>>();
        let lent = |waiting: &mut Vec<oneshot::Receiver<Lease<u32>>>| {
            let lent = waiting.iter_mut().filter_map(|it| it.try_recv().ok());
            lent.collect::<Vec<_>>()
        };
        let (mut long, mut short) = (waiting(LongRead), Vec::new());
        let (mut three, mut one) = (lent(&mut long), Vec::new());
        assert_eq!(three.len(), 3);
        short.extend(waiting(Read));
        one.extend(lent(&mut short));
        assert_eq!(one.len(), 1, "beside them, and one is for changes");
        three.pop();
        // Who came first.
        assert_eq!((lent(&mut long).len(), lent(&mut short).len()), (1, 0));
    }

    #[test]
    fn where_there_is_but_one_they_take_turns_as_they_came() {
        let leasing = of(1);
        let mut waiting: Vec<_> = [Read, Read, Change, Read]
            .map(|kind| leasing.await_turn(kind))
            .into();
        for nth in 0..4 {
            let others = waiting.iter_mut().skip(nth + 1);
            assert_eq!(others.filter_map(|it| it.try_recv().ok()).count(), 0);
            drop(waiting[nth].try_recv().unwrap());
        }
    }

    #[test]
    fn what_is_not_fit_comes_back_to_nobody_and_who_waits_no_longer_gets_nothing() {
        let leasing = of(1);
        let mut lease = leasing.await_turn(Change).try_recv().unwrap();
        *lease.item().unwrap() = 1;
        drop(leasing.await_turn(Read));
        let mut waits = leasing.await_turn(Read);
        drop(lease);
        assert!(leasing.is_empty());
        leasing.add(2);
        assert_eq!(waits.try_recv().unwrap().item(), Some(&mut 2));
        leasing.let_go(|_| true);
        assert!(leasing.is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_beyond_his_time_or_without_hope() {
        let leasing = of(0);
        let hopeful = || None;
        let late = Control::within(Duration::from_millis(20));
        assert!(leasing.lease(Read, &late, hopeful).await.is_err());
        let patient = Control::within(Duration::from_mins(1));
        let hopeless = || Some(Control::within(Duration::ZERO).over().unwrap());
        assert!(leasing.lease(Read, &patient, hopeless).await.is_err());
        // Neither has left anybody behind who would take what comes.
        leasing.add(0);
        assert!(leasing.lease(Read, &patient, hopeful).await.is_ok());
    }
}
