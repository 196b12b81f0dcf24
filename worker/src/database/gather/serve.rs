//! Serves the queue of reads of single rows: each goes with others where there are some, and has a task of its own where not.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{Alone, Gathering, LOOK, ReadsKeys};
use crate::database::leasing::told;
use crate::database::queue::{Bill, Lane, Queue};
use crate::job::Job;

/// How a database serves them.
pub(in crate::database) trait Serves: 'static {
    type Database: ReadsKeys;

    fn gathering(&self) -> &Rc<Gathering<Self::Database>>;

    /// How many may be off the queue at once.
    fn places(&self) -> usize;

    /// How many more may be taken off the queue at once, beside so many.
    fn room(&self, busy: usize) -> usize;

    /// Waits until there may be more room, though none has ended.
    async fn has_more_room(&self);

    /// Lets those begin that were taken.
    async fn begun(&self);

    /// Runs one that nobody takes along, and answers it. Tells what of the database's time was its part; nothing if it left with others
    /// after all.
    async fn run(&self, alone: Alone<Self::Database>) -> Option<Duration>;
}

/// Serves reads until the queue is closed and empty and every call of it is answered.
pub(in crate::database) async fn serve<S: Serves>(serves: &Rc<S>, queue: &Queue<Job>) {
    queue.in_places(serves.places());
    let gathering = serves.gathering();
    let mut calls = JoinSet::new();
    let mut bill = Bill::default();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_open = true;
    loop {
        let (left, taken) = gathering.take_over();
        bill.join(taken);
        for job in left {
            begin(serves, &mut calls, Alone { job, flight: None });
        }
        let together = gathering.under_way();
        if !is_open && calls.is_empty() && together == 0 {
            return;
        }
        let room = serves.room(calls.len().saturating_add(together));
        tokio::select! {
            biased;
            Some(ended) = calls.join_next(), if !calls.is_empty() => {
                if let Some((lane, Some(time))) = told(ended) {
                    bill.add(lane, time);
                }
            }
            () = gathering.changed() => {}
            _ = looks.tick(), if together > 0 => gathering.look(),
            () = serves.has_more_room(), if room == 0 => {}
            jobs = queue.taken_after(&mut bill, room), if is_open && room > 0 => match jobs {
                None => is_open = false,
                Some(jobs) => {
                    for job in jobs {
                        if let Some(alone) = gathering.board(job) {
                            begin(serves, &mut calls, alone);
                        }
                    }
                    serves.begun().await;
                }
            },
        }
    }
}

fn begin<S: Serves>(
    serves: &Rc<S>,
    calls: &mut JoinSet<(Lane, Option<Duration>)>,
    alone: Alone<S::Database>,
) {
    let (serves, lane) = (Rc::clone(serves), alone.job.ticket.lane());
    calls.spawn_local(async move { (lane, serves.run(alone).await) });
}
