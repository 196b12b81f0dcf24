//! Where the calls are that go together: nobody has a task of his own meanwhile, so one look at all of them now and then sees to it
//! that nobody waits longer than he wants.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_shared::message::Reply;
use tokio::sync::Notify;

use super::PATIENCE;
use crate::database::queue::Bill;
use crate::database::settled;
use crate::database::trouble::Trouble;
use crate::job::{Control, Job, Refusal};

/// Calls that wait for others, or are part of a statement.
#[derive(Default)]
pub(super) struct UnderWay {
    statements: RefCell<Vec<Rc<Company>>>,
    count: Cell<usize>,
    alone: RefCell<Vec<Job>>,
    bill: RefCell<Bill>,
    news: Notify,
}

/// Those of one statement. Who has left has left his place.
pub(super) struct Company {
    control: Arc<Control>,
    places: RefCell<Vec<Option<Job>>>,
}

/// Why one leaves who goes with others.
pub(super) enum Leaves {
    /// Nobody waits for it any more.
    Over(Refusal),
    /// He has waited for the others for long enough.
    Alone,
}

/// Whether one leaves.
pub(super) fn leaves(job: &Job, now: Instant) -> Option<Leaves> {
    let control = job.ticket.control();
    match control.over() {
        Some(refusal) => Some(Leaves::Over(refusal)),
        None if now.saturating_duration_since(control.begin()) >= PATIENCE => Some(Leaves::Alone),
        None => None,
    }
}

impl UnderWay {
    /// Calls.
    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// One comes along.
    pub(super) fn enters(&self) {
        self.count.set(self.count.get().saturating_add(1));
    }

    fn left(&self) {
        self.count.set(self.count.get().saturating_sub(1));
    }

    /// Answers one who came along.
    pub(super) fn answer(&self, job: Job, outcome: Result<Reply, Trouble>, part: Duration) {
        self.left();
        self.bill.borrow_mut().add(job.ticket.lane(), part);
        let start = job.ticket.control().begin();
        job.answer(settled(start, outcome));
    }

    /// Has one who came along go alone.
    pub(super) fn goes_alone(&self, job: Job) {
        self.left();
        self.alone.borrow_mut().push(job);
    }

    /// One who came along leaves.
    pub(super) fn lets_go(&self, job: Job, why: Leaves) {
        match why {
            Leaves::Over(refusal) => {
                self.left();
                self.bill.borrow_mut().add(job.ticket.lane(), Duration::ZERO);
                job.answer(Err(refusal));
            }
            Leaves::Alone => self.goes_alone(job),
        }
    }

    /// Those of a statement that begins.
    pub(super) fn begin(&self, jobs: Vec<Job>, control: &Arc<Control>) -> Rc<Company> {
        let company = Rc::new(Company {
            control: Arc::clone(control),
            places: RefCell::new(jobs.into_iter().map(Some).collect()),
        });
        self.statements.borrow_mut().push(Rc::clone(&company));
        company
    }

    /// Who is left of a statement that has ended, each in his place.
    pub(super) fn end(&self, company: &Rc<Company>) -> Vec<Option<Job>> {
        self.statements
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, company));
        company.places.take()
    }

    /// Lets go of those of statements who want to leave. A statement that all have left is stopped.
    pub(super) fn look(&self, now: Instant) {
        let mut leaving = Vec::new();
        for company in self.statements.borrow().iter() {
            let mut places = company.places.borrow_mut();
            for place in places.iter_mut() {
                if let Some(why) = place.as_ref().and_then(|job| leaves(job, now)) {
                    leaving.extend(place.take().map(|job| (job, why)));
                }
            }
            if places.iter().all(Option::is_none) {
                company.control.cancel();
            }
        }
        for (job, why) in leaving {
            self.lets_go(job, why);
        }
    }

    /// Those who go alone from now on.
    pub(super) fn take_alone(&self) -> Vec<Job> {
        self.alone.take()
    }

    /// What has been taken of the database's time.
    pub(super) fn bill(&self) -> Bill {
        self.bill.take()
    }

    /// Tells whoever serves the queue that there is room, or somebody who goes alone, or something to charge.
    pub(super) fn ring(&self) {
        self.news.notify_one();
    }

    /// Waits for that.
    pub(super) async fn rung(&self) {
        self.news.notified().await;
    }
}
