//! Removes rows whose time is over, where entities say `ttl: {auto_delete: true}`: a few at a time, behind the calls of clients, by the
//! way that any write takes, so that kept answers and other daemons hear of it. Nothing that a client sends has a part in it.

mod course;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_schema::Entity;
use tokio::sync::watch;

use crate::channel::Shared;
use crate::database::Database;
use crate::generate::now_ms;
pub(crate) use course::{Course, Hands, Step};

/// Longest time of one statement. It can come again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two removals, at least and at most: in between, a removal gets a fifth of the database's time.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
const SHARE: u32 = 4;
/// While calls of clients wait, they go first; but not for ever.
const COURTESY: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);
/// Intervals to leave out at most when nothing can be removed, and the longest time of that.
const MOST_INTERVALS: u32 = 16;
const LONGEST: Duration = Duration::from_hours(1);

/// Entities whose rows this removes.
pub fn expiring(entities: &[Entity]) -> impl Iterator<Item = &Entity> {
    entities.iter().filter(|entity| entity.expires_by().is_some())
}

/// Looks for rows whose time is over about every `every`, until `drains` turns true. What it has begun then is brought to its end.
pub async fn serve(shared: Arc<Shared>, every: Duration, mut drains: watch::Receiver<bool>) {
    let schema = Arc::clone(shared.rulebook.borrow().policy.schema());
    let mut courses: Vec<Course> = expiring(schema.entities()).map(Course::of).collect();
    if courses.is_empty() {
        return;
    }
    // Workers that are started together don't all do it at once.
    let mut wait = every.mul_f64(chance());
    let mut in_vain: u32 = 0;
    loop {
        if is_over_within(wait, &mut drains).await {
            return;
        }
        let hands = Hands {
            schema: &schema,
            database: &shared.database,
            ledger: &shared.ledger,
            places: &shared.cursors,
            patience: PATIENCE.min(shared.query_timeout),
        };
        in_vain = match pass(&mut courses, &hands, every, &mut drains).await {
            Pass::Done => 0,
            Pass::Away => in_vain.saturating_add(1),
        };
        let held: usize = courses.iter().map(Course::held).sum();
        shared.ledger.holds_expired(held);
        wait = spread(later(every, in_vain));
    }
}

/// How all entities were gone through.
enum Pass {
    /// Each was.
    Done,
    /// The database, or the audit trail, takes nothing at the moment.
    Away,
}

/// One step of each entity in turn, until none has more.
async fn pass(
    courses: &mut [Course],
    hands: &Hands<'_>,
    every: Duration,
    drains: &mut watch::Receiver<bool>,
) -> Pass {
    let is_due = |course: &&mut Course| course.is_due(Instant::now());
    let mut active: Vec<&mut Course> = courses.iter_mut().filter(is_due).collect();
    while !active.is_empty() {
        let mut more = Vec::with_capacity(active.len());
        for course in active {
            if courtesy(hands.database, drains).await {
                return Pass::Done;
            }
            let began = Instant::now();
            match course.step(hands, now_ms(), began).await {
                Step::More => more.push(course),
                Step::Done => {}
                Step::Failed(in_vain) => course.rest(began, later(every, in_vain)),
                Step::Away => return Pass::Away,
            }
            let (least, most) = PAUSE;
            let pause = began.elapsed().saturating_mul(SHARE).clamp(least, most);
            if is_over_within(pause, drains).await {
                return Pass::Done;
            }
        }
        active = more;
    }
    Pass::Done
}

/// Lets calls of clients go first. Whether the worker drains.
async fn courtesy(database: &Database, drains: &mut watch::Receiver<bool>) -> bool {
    let began = Instant::now();
    while database.queued() > 0 && began.elapsed() < COURTESY {
        if is_over_within(LOOK, drains).await {
            return true;
        }
    }
    *drains.borrow()
}

/// Waits; whether the worker drains.
async fn is_over_within(wait: Duration, drains: &mut watch::Receiver<bool>) -> bool {
    // That the sender is gone means the same.
    tokio::time::timeout(wait, drains.wait_for(|drains| *drains))
        .await
        .is_ok()
}

/// How long to wait after so many times in vain.
fn later(every: Duration, in_vain: u32) -> Duration {
    let intervals = 1_u32
        .checked_shl(in_vain)
        .unwrap_or(MOST_INTERVALS)
        .min(MOST_INTERVALS);
    every.saturating_mul(intervals).min(LONGEST.max(every))
}

/// A fifth more or less, so that workers which were started together part.
fn spread(wait: Duration) -> Duration {
    wait.mul_f64(0.8 + 0.4 * chance())
}

/// From 0 to 1, or one half where the kernel gives no randomness: nothing secret depends on it.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_in_vain_waits_longer_up_to_a_bound_and_no_two_wait_the_same() {
        let every = Duration::from_mins(1);
        let waits: Vec<u64> = [0, 1, 2, 4, 5, 31, 32, u32::MAX]
            .map(|in_vain| later(every, in_vain).as_secs())
            .to_vec();
        assert_eq!(waits, [60, 120, 240, 960, 960, 960, 960, 960]);
        assert_eq!(later(Duration::from_hours(1), 3), LONGEST);
        // An interval that is longer stays as it is.
        let day = Duration::from_hours(24);
        assert_eq!(later(day, 3), day);
        let spread: Vec<Duration> = (0..64).map(|_| spread(every)).collect();
        assert!(
            spread.iter().all(|wait| (48..=72).contains(&wait.as_secs())),
            "{spread:?}"
        );
        assert!(spread.iter().any(|wait| *wait != spread[0]), "{spread:?}");
    }
}
