//! Reads of single rows that differ in nothing but the key. While one of them is under way the others gather, and then go
//! together as one statement: what a short read costs is mostly to wake somebody up and to be woken.
//!
//! Nobody gets anything else than alone. Together go only those whose statements, but for the key, are equal to the last
//! value, the caller's claims among them. A row is the answer of those whose key it has; who is left without one where that
//! may be the fault of the comparison, and everybody when anything fails, asks once more alone. What is sent was asked for
//! before it is sent, so each sees a moment within its own call. A caller whose time is over leaves; the statement is stopped
//! when all have left.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use dbal_shared::message::Reply;
use dbal_shared::value::Value;
use dbal_sql::{Dialect, Keyed};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::read::reply;
use super::rows::Rows;
use super::session::{Look, Row};
use super::trouble::Trouble;
use crate::job::{Control, What};

/// Most keys of one statement: what more would save is small, and what one of them costs all of them wait for.
const MOST: usize = 32;
/// Bytes of JSON from which on a row is fetched alone: far from any bound of answers.
const LARGE: usize = 1 << 20;
/// Who has waited for so long goes alone: what holds up the one under way need not hold up others.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);
/// Longer than any caller waits.
const LONGEST: Duration = Duration::from_hours(24);

/// A database whose statements take several keys.
pub(super) trait ReadsKeys: 'static {
    /// How it wants its statements.
    fn dialect(&self) -> &'static Dialect;

    /// Reads the rows of all keys with one statement, the key before each, and shows them to `look`. Tells how long it had its
    /// connection for; none where that could not be done: why not is of no interest, since everybody asks once more.
    async fn read_keys(
        &self,
        like: &Keyed,
        keys: &[Value],
        control: &Arc<Control>,
        look: &mut dyn FnMut(&dyn Row) -> Result<Look, Trouble>,
    ) -> Option<Duration>;
}

/// What is under way, and who waits for it.
pub(super) struct Gathering<D> {
    pub(super) database: D,
    /// By the texts of their statements.
    groups: RefCell<HashMap<String, Vec<Group>>>,
}

/// Reads that may go together. It exists while one of them is under way.
struct Group {
    like: Rc<Keyed>,
    since: Instant,
    waiting: VecDeque<Member>,
}

/// One that waits.
struct Member {
    key: Value,
    told: oneshot::Sender<Told>,
}

/// What came of it for one, and what of the statement's time was its part.
type Told = (Together, Duration);

/// What came of asking together.
#[derive(Clone)]
enum Together {
    Row(Reply),
    NoRow,
    /// It has to be asked alone.
    Unknown,
}

/// How a read goes on.
pub(super) enum Gathered<D: ReadsKeys> {
    /// Alone. Those that gather meanwhile go when the flight is dropped.
    Alone(Option<Flight<D>>),
    /// With its answer, and its part of the time that the database took for it and for those that went along.
    Answered(Result<Reply, Trouble>, Duration),
}

/// What a group waits for the end of.
pub(super) struct Flight<D: ReadsKeys> {
    gathering: Rc<Gathering<D>>,
    like: Rc<Keyed>,
}

impl<D: ReadsKeys> Drop for Flight<D> {
    fn drop(&mut self) {
        self.gathering.land(&self.like);
    }
}

impl<D: ReadsKeys> Gathering<D> {
    pub(super) fn new(database: D) -> Self {
        Self {
            database,
            groups: RefCell::default(),
        }
    }

    /// Waits for the end of one that this call may follow, if there is one, and is answered together with others.
    pub(super) async fn gather(self: &Rc<Self>, what: &What, control: &Control) -> Gathered<D> {
        // A plan that can't be rendered fails when it is run.
        let keyed = match what {
            What::One(plan) => Keyed::of_plan(plan, self.database.dialect()).ok().flatten(),
            What::Together(_) => None,
        };
        let Some(keyed) = keyed else {
            return Gathered::Alone(None);
        };
        let answer = match self.join(keyed) {
            Ok(answer) => answer,
            Err(None) => return Gathered::Alone(None),
            Err(Some(flight)) => {
                // Those that have arrived with it come along. Nobody is waited for: who is alone goes on at once.
                after_the_others().await;
                match self.lead(&flight) {
                    Some(answer) => answer,
                    None => return Gathered::Alone(Some(flight)),
                }
            }
        };
        let told = tokio::select! {
            biased;
            told = timeout(PATIENCE, answer) => told,
            () = control.ended() => return Gathered::Alone(None),
        };
        match told {
            Ok(Ok((Together::Row(reply), part))) => Gathered::Answered(Ok(reply), part),
            Ok(Ok((Together::NoRow, part))) => Gathered::Answered(Err(Trouble::NotFound), part),
            Ok(Ok((Together::Unknown, _)) | Err(_)) | Err(_) => Gathered::Alone(None),
        }
    }

    /// A place among those that wait; or to go alone, as the one that others wait for if there is none.
    fn join(self: &Rc<Self>, keyed: Keyed) -> Result<oneshot::Receiver<Told>, Option<Flight<D>>> {
        let mut groups = self.groups.borrow_mut();
        let alike = groups
            .get_mut(keyed.statement().sql())
            .and_then(|alike| alike.iter_mut().find(|group| group.like.is_alike(&keyed)));
        if let Some(group) = alike {
            if group.since.elapsed() >= PATIENCE {
                return Err(None);
            }
            let key = keyed.key().clone();
            let (told, answer) = oneshot::channel();
            group.waiting.push_back(Member { key, told });
            return Ok(answer);
        }
        let like = Rc::new(keyed);
        let group = Group {
            like: Rc::clone(&like),
            since: Instant::now(),
            waiting: VecDeque::new(),
        };
        let sql = like.statement().sql().to_owned();
        groups.entry(sql).or_default().push(group);
        Err(Some(Flight {
            gathering: Rc::clone(self),
            like,
        }))
    }

    /// A place in front of those that wait already, if there are any: they leave as soon as the flight is dropped.
    fn lead(&self, flight: &Flight<D>) -> Option<oneshot::Receiver<Told>> {
        let mut groups = self.groups.borrow_mut();
        let alike = groups.get_mut(flight.like.statement().sql())?;
        let mut alike = alike.iter_mut();
        let group = alike.find(|group| Rc::ptr_eq(&group.like, &flight.like))?;
        if group.waiting.is_empty() {
            return None;
        }
        let key = flight.like.key().clone();
        let (told, answer) = oneshot::channel();
        group.waiting.push_front(Member { key, told });
        Some(answer)
    }

    /// Sends off those that wait, or forgets the group.
    fn land(self: &Rc<Self>, like: &Rc<Keyed>) {
        let mut groups = self.groups.borrow_mut();
        let sql = like.statement().sql();
        let Some(alike) = groups.get_mut(sql) else {
            return;
        };
        let Some(group) = alike.iter_mut().find(|group| Rc::ptr_eq(&group.like, like)) else {
            return;
        };
        let mut members = Vec::with_capacity(group.waiting.len().min(MOST));
        while members.len() < MOST
            && let Some(member) = group.waiting.pop_front()
        {
            if !member.told.is_closed() {
                members.push(member);
            }
        }
        if members.is_empty() {
            alike.retain(|group| !Rc::ptr_eq(&group.like, like));
            if alike.is_empty() {
                groups.remove(sql);
            }
            return;
        }
        group.since = Instant::now();
        // A task that can't begin any more drops its flight at once.
        drop(groups);
        let flight = Flight {
            gathering: Rc::clone(self),
            like: Rc::clone(like),
        };
        tokio::task::spawn_local(fly(flight, members));
    }

    /// Asks for several keys at once, and tells how long the database took; none when that failed.
    async fn ask(
        &self,
        like: &Keyed,
        keys: &[Value],
        control: &Arc<Control>,
    ) -> Option<(Vec<Together>, Duration)> {
        let (entity, column) = (like.entity()?, like.column()?);
        let mut answers = vec![Together::Unknown; keys.len()];
        for (key, answer) in keys.iter().zip(&mut answers) {
            // Of these no two are equal for the database that aren't for us.
            if matches!(key, Value::Uuid(_) | Value::Int(_)) {
                *answer = Together::NoRow;
            }
        }
        let mut look = |row: &dyn Row| {
            let key = row.value(0, column)?;
            let mut json = Rows::new(entity);
            let told = match json.object(row, 1, like.cells()) {
                Ok(_) if json.len() < LARGE => Together::Row(reply(json.finish(), 1)),
                // A large row gains nothing here, and its trouble is of those who asked for it.
                Ok(_) | Err(_) => Together::Unknown,
            };
            for (_, answer) in keys.iter().zip(&mut answers).filter(|(own, _)| **own == key) {
                *answer = told.clone();
            }
            Ok(Look::More)
        };
        let took = self.database.read_keys(like, keys, control, &mut look).await?;
        Some((answers, took))
    }
}

/// Lets the tasks run that are ready. `yield_now` would ask the kernel for more of them as well, which costs a read that is alone
/// some microseconds.
pub(super) async fn after_the_others() {
    let mut was_last = false;
    poll_fn(|context| {
        if std::mem::replace(&mut was_last, true) {
            Poll::Ready(())
        } else {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// Asks for all members, and tells each what came of it.
async fn fly<D: ReadsKeys>(flight: Flight<D>, members: Vec<Member>) {
    let (keys, mut told): (Vec<_>, Vec<_>) = members
        .into_iter()
        .map(|Member { key, told }| (key, told))
        .unzip();
    let control = Arc::new(Control::within(LONGEST));
    let answers = {
        let mut work = std::pin::pin!(flight.gathering.ask(&flight.like, &keys, &control));
        let all_left = async {
            for told in &mut told {
                told.closed().await;
            }
        };
        tokio::select! {
            biased;
            answers = &mut work => answers,
            () = all_left => {
                control.cancel();
                work.await
            }
        }
    };
    // The next ones are sent before these have read their answers.
    drop(flight);
    let Some((answers, took)) = answers else {
        // Who is told nothing asks alone.
        return;
    };
    let members = u32::try_from(answers.len()).unwrap_or(u32::MAX);
    let part = took.checked_div(members).unwrap_or_default();
    for (told, answer) in told.into_iter().zip(answers) {
        // Who has left needs none.
        let _ = told.send((answer, part));
    }
}
