//! Reads of single rows that differ in nothing but the key. While one of them is under way the others gather, and then go
//! together as one statement: what a short read costs is mostly to wake somebody up and to be woken.
//!
//! Nobody gets anything else than alone. Together go only those whose plans, but for the key, are equal to the last value, the
//! caller's claims among them: all that a statement is rendered from (`KeyedShape`). A row is the answer of those whose key it has; who is left without one where that
//! may be the fault of the comparison, and everybody when anything fails, asks once more alone. What is sent was asked for
//! before it is sent, so each sees a moment within its own call. A caller whose time is over leaves; the statement is stopped
//! when all have left.
//!
//! Who goes with others has no task, no timer and no channel of his own: his call is kept with theirs and answered where the rows come in.

mod serve;
mod under_way;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use dbal_shared::message::Reply;
use dbal_shared::value::Value;
use dbal_sql::{Dialect, KeyKind, Keyed, KeyedShape, ValidPlan};

use super::queue::Bill;
use super::read::reply;
use super::rows::Rows;
use super::session::{Look, Row};
use super::trouble::Trouble;
use crate::job::{Control, Job, What};
pub(super) use serve::{Serves, serve};
use under_way::{UnderWay, leaves};

/// Most keys of one statement: what more would save is small, and what one of them costs all of them wait for.
const MOST: usize = 32;
/// Bytes of JSON from which on a row is fetched alone: far from any bound of answers.
const LARGE: usize = 1 << 20;
/// Who has waited for so long goes alone: what holds up the one under way need not hold up others.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);
/// Longer than any caller waits.
const LONGEST: Duration = Duration::from_hours(24);
/// How often to look whether somebody who goes together with others wants to leave. That much later than asked a call may be ended.
const LOOK: Duration = Duration::from_millis(5);

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
    groups: RefCell<BTreeMap<KeyKind, Vec<Group>>>,
    under_way: UnderWay,
}

/// Reads that may go together. It exists while one of them is under way.
struct Group {
    like: Rc<Like>,
    since: Instant,
    waiting: VecDeque<Member>,
}

/// What reads have in common that may go together.
struct Like {
    shape: KeyedShape,
    /// Their statement, once two of them have met: most reads of a quiet service are alone. None inside where there is no such statement.
    keyed: OnceCell<Option<Keyed>>,
}

/// One that waits.
struct Member {
    key: Value,
    job: Job,
}

/// What came of asking together.
#[derive(Clone)]
enum Together {
    Row(Reply),
    NoRow,
    /// It has to be asked alone.
    Unknown,
}

/// A read that nobody takes along.
pub(super) struct Alone<D: ReadsKeys> {
    pub(super) job: Job,
    /// Those that gather meanwhile go when this is dropped.
    pub(super) flight: Option<Flight<D>>,
}

/// What a group waits for the end of.
pub(super) struct Flight<D: ReadsKeys> {
    gathering: Rc<Gathering<D>>,
    like: Rc<Like>,
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
            under_way: UnderWay::default(),
        }
    }

    /// Calls that go together with others, or wait for it.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.count()
    }

    /// Waits until there are fewer of them, or some that go alone.
    pub(super) async fn changed(&self) {
        self.under_way.rung().await;
    }

    /// Those that were to go together with others and go alone after all, and what the others have taken of the database's time.
    pub(super) fn take_over(&self) -> (Vec<Job>, Bill) {
        (self.under_way.take_alone(), self.under_way.bill())
    }

    /// Answers those whose time is over, and lets those go alone that have waited for too long.
    pub(super) fn look(&self) {
        let now = Instant::now();
        let mut leaving = Vec::new();
        for group in self.groups.borrow_mut().values_mut().flatten() {
            let waiting = std::mem::take(&mut group.waiting);
            for member in waiting {
                match leaves(&member.job, now) {
                    Some(why) => leaving.push((member.job, why)),
                    None => group.waiting.push_back(member),
                }
            }
        }
        for (job, why) in leaving {
            self.under_way.lets_go(job, why);
        }
        self.under_way.look(now);
    }

    /// Has a call wait for the end of one that it may follow, to go together with others that do; what comes of it, it is told. Gives
    /// it back if there is none, or if it is not of that kind.
    pub(super) fn board(self: &Rc<Self>, job: Job) -> Option<Alone<D>> {
        job.ticket.control().begin();
        let Some(plan) = plan_of(&job) else {
            return Some(Alone { job, flight: None });
        };
        let mut groups = self.groups.borrow_mut();
        let akin = KeyKind::of_plan(plan).and_then(|kind| groups.get_mut(&kind));
        let alike = (akin.into_iter().flatten())
            .find_map(|group| Some((group.like.shape.key_of(plan)?.clone(), group)));
        if let Some((key, group)) = alike {
            if group.since.elapsed() >= PATIENCE {
                return Some(Alone { job, flight: None });
            }
            group.waiting.push_back(Member { key, job });
            self.under_way.enters();
            return None;
        }
        let Some(shape) = KeyedShape::of_plan(plan, self.database.dialect()) else {
            return Some(Alone { job, flight: None });
        };
        let kind = shape.kind();
        let like = Rc::new(Like {
            shape,
            keyed: OnceCell::new(),
        });
        let group = Group {
            like: Rc::clone(&like),
            since: Instant::now(),
            waiting: VecDeque::new(),
        };
        groups.entry(kind).or_default().push(group);
        let flight = Some(Flight {
            gathering: Rc::clone(self),
            like,
        });
        Some(Alone { job, flight })
    }

    /// Those that have arrived with the first one come along, and it leaves with them. Nobody is waited for: it is given back if it is
    /// by itself.
    pub(super) async fn lead(&self, alone: Alone<D>) -> Option<Alone<D>> {
        let Alone {
            job,
            flight: Some(flight),
        } = alone
        else {
            return Some(alone);
        };
        after_the_others().await;
        {
            let mut groups = self.groups.borrow_mut();
            let mut akin = groups.get_mut(&flight.like.shape.kind()).into_iter().flatten();
            let group = akin.find(|group| Rc::ptr_eq(&group.like, &flight.like));
            match group.filter(|group| !group.waiting.is_empty()) {
                None => {
                    let flight = Some(flight);
                    return Some(Alone { job, flight });
                }
                Some(group) => {
                    let Some(key) = key_of(&flight.like, &job).cloned() else {
                        let flight = Some(flight);
                        return Some(Alone { job, flight });
                    };
                    group.waiting.push_front(Member { key, job });
                    self.under_way.enters();
                }
            }
        }
        // They leave at once.
        drop(flight);
        None
    }

    /// Sends off those that wait, or forgets the group.
    fn land(self: &Rc<Self>, like: &Rc<Like>) {
        let mut groups = self.groups.borrow_mut();
        let kind = like.shape.kind();
        let Some(akin) = groups.get_mut(&kind) else {
            return;
        };
        let Some(group) = akin.iter_mut().find(|group| Rc::ptr_eq(&group.like, like)) else {
            return;
        };
        if group.waiting.is_empty() {
            akin.retain(|group| !Rc::ptr_eq(&group.like, like));
            if akin.is_empty() {
                groups.remove(&kind);
            }
            return;
        }
        let most = group.waiting.len().min(MOST);
        let (mut keys, mut jobs) = (Vec::with_capacity(most), Vec::with_capacity(most));
        for Member { key, job } in group.waiting.drain(..most) {
            keys.push(key);
            jobs.push(job);
        }
        group.since = Instant::now();
        // A task that can't begin any more drops its flight at once.
        drop(groups);
        let flight = Flight {
            gathering: Rc::clone(self),
            like: Rc::clone(like),
        };
        tokio::task::spawn_local(fly(flight, keys, jobs));
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
            let mut own = keys.iter().zip(&mut answers).filter(|(own, _)| **own == key);
            let first = own.next();
            for (_, answer) in own {
                *answer = told.clone();
            }
            if let Some((_, answer)) = first {
                *answer = told;
            }
            Ok(Look::More)
        };
        let took = self.database.read_keys(like, keys, control, &mut look).await?;
        Some((answers, took))
    }
}

fn plan_of(job: &Job) -> Option<&ValidPlan> {
    match &job.task.what {
        What::One(plan) => Some(plan),
        What::Together(_) => None,
    }
}

fn key_of<'a>(like: &Like, job: &'a Job) -> Option<&'a Value> {
    like.shape.key_of(plan_of(job)?)
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

/// Asks for all keys, and tells each call what came of it.
async fn fly<D: ReadsKeys>(flight: Flight<D>, keys: Vec<Value>, jobs: Vec<Job>) {
    let gathering = Rc::clone(&flight.gathering);
    let under_way = &gathering.under_way;
    let control = Arc::new(Control::within(LONGEST));
    // A plan that can't be rendered fails when it is run.
    let keyed = flight.like.keyed.get_or_init(|| {
        let plan = jobs.first().and_then(plan_of)?;
        Keyed::of_plan(plan, gathering.database.dialect()).ok().flatten()
    });
    let company = under_way.begin(jobs, &control);
    // Apart: tokio copies a task's future when it begins and when it ends.
    let answers = match keyed {
        Some(keyed) => Box::pin(gathering.ask(keyed, &keys, &control)).await,
        None => None,
    };
    // The next ones are sent before these have their answers.
    drop(flight);
    let jobs = under_way.end(&company);
    // Of no answers everybody asks alone.
    let (answers, took) = answers.unwrap_or_default();
    let members = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let part = took.checked_div(members).unwrap_or_default();
    let answers = answers.into_iter().chain(std::iter::repeat(Together::Unknown));
    for (job, answer) in jobs.into_iter().zip(answers) {
        // Who has left needs none.
        let Some(job) = job else { continue };
        match answer {
            Together::Row(reply) => under_way.answer(job, Ok(reply), part),
            Together::NoRow => under_way.answer(job, Err(Trouble::NotFound), part),
            Together::Unknown => under_way.goes_alone(job),
        }
    }
    under_way.ring();
}
