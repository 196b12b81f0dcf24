//! The rows of one entity whose time is over: found some at a time by its own index, removed together, and fewer and fewer at once
//! where some of them can't be, until those are known and left alone for a while. So are those whose time can't be read.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbal_schema::{Column, Entity, Schema};
use dbal_shared::fault::Code;
use dbal_shared::ids::EntityId;
use dbal_shared::json::Json;
use dbal_shared::message::{Advice, Reply};
use dbal_shared::value::Value;
use dbal_sql::{ExpiredCells, Places, Sought, ValidPlan};
use serde::Deserialize;

use crate::database::Database;
use crate::job::{Control, Job, Refusal, Task, Ticket, What};
use crate::ledger::{Ledger, Removal};

/// Most rows of one statement.
const MOST: u32 = 500;
/// And fewest, where removals take long.
const FEWEST: u32 = 10;
/// A removal that took so long is followed by a smaller one; one that took no longer than this, by a larger one.
const LONG: Duration = Duration::from_millis(250);
const SHORT: Duration = Duration::from_millis(50);
/// Statements that one step spends on finding out which rows can't be removed. The next round finds more of them.
const TRIES: u32 = 64;
/// How long a row that can't be removed is left alone.
const HELD_FOR: Duration = Duration::from_hours(1);
/// Most rows of an entity that are known not to go; others are tried at each round.
const HELD: usize = 4_096;
/// Most rows of an entity that are left out since their time can't be read: each is a placeholder in what is asked. With more of them
/// nothing of the entity is removed.
const UNREAD: usize = 64;
/// Whose turn it counts for among those who wait for the database.
const LANE: &str = "expiry";

/// What a step needs.
pub(crate) struct Hands<'a> {
    /// The entities.
    pub(crate) schema: &'a Arc<Schema>,
    /// Where the rows are.
    pub(crate) database: &'a Database,
    /// Where each removal is written down.
    pub(crate) ledger: &'a Ledger,
    /// Where a page of rows ends.
    pub(crate) places: &'a Arc<dyn Places>,
    /// Longest time of one statement.
    pub(crate) patience: Duration,
}

/// One entity, and how far it was gone through.
pub(crate) struct Course {
    entity: EntityId,
    name: String,
    /// Rows of the next statement.
    size: u32,
    /// The round that is under way.
    round: Option<Round>,
    /// Rows that can't be removed, by the hash of their key: a row that is taken for another one goes an hour later.
    held: HashMap<u64, Held>,
    /// Whether somebody was told of them.
    is_held_told: bool,
    /// Keys of rows whose time can't be read, and until when they are left out.
    unread: Vec<(Value, Instant)>,
    /// Whether somebody was told of them.
    is_unread_told: bool,
    /// How often in a row it failed as a whole.
    in_vain: u32,
    /// Not before.
    due: Option<Instant>,
}

/// From those that expired first to those that had when it began.
struct Round {
    now_ms: i64,
    /// Where the last page ended.
    cursor: Option<Vec<u8>>,
    /// When it began.
    began: Instant,
}

struct Held {
    until: Instant,
    /// When it was last found.
    seen: Instant,
}

/// What came of a step.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// There are more.
    More,
    /// There are none.
    Done,
    /// Nothing of this entity can be removed; so often in a row.
    Failed(u32),
    /// Nothing of any entity can.
    Away,
}

/// A row whose time is over.
struct Found {
    value: Value,
    mark: u64,
}

/// A page of them.
struct Page {
    rows: Vec<Found>,
    cursor: Option<Vec<u8>>,
}

/// The same, as lists are answered.
#[derive(Deserialize)]
struct Listed {
    data: Vec<Json>,
    #[serde(rename = "nextCursor")]
    cursor: Option<String>,
}

/// What came of looking for rows.
enum Look {
    /// These were found.
    Page(Page),
    /// One that can't be read is among them: fewer are looked for, or without it.
    Again,
}

impl Hands<'_> {
    /// By the queue that all calls go through, in a lane of its own. Waits as long as it takes, which its deadline bounds.
    async fn ask(&self, plan: ValidPlan) -> Result<Reply, Refusal> {
        let task = Task {
            what: What::One(Box::new(plan)),
            once: None,
        };
        let (ticket, told) = Ticket::own(Arc::new(Control::within(self.patience)), LANE);
        self.database.submit(Job { task, ticket });
        told.await.unwrap_or_else(|_| {
            // Nobody knows what became of it.
            let detail = "the database thread is gone";
            Err(Refusal::new(Code::Unavailable, Advice::OutcomeUnknown, detail))
        })
    }
}

impl Course {
    /// Nothing of it was looked at yet.
    pub(crate) fn of(entity: &Entity) -> Self {
        Self {
            entity: entity.id,
            name: entity.name.clone(),
            size: MOST,
            round: None,
            held: HashMap::new(),
            is_held_told: false,
            unread: Vec::new(),
            is_unread_told: false,
            in_vain: 0,
            due: None,
        }
    }

    /// Rows that can't be removed, as far as is known.
    pub(crate) fn held(&self) -> usize {
        self.held.len().saturating_add(self.unread.len())
    }

    /// Whether it is not at rest.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// Leaves it alone for so long.
    pub(crate) fn rest(&mut self, now: Instant, wait: Duration) {
        self.due = now.checked_add(wait);
    }

    /// Finds some rows and removes them.
    pub(crate) async fn step(&mut self, hands: &Hands<'_>, now_ms: i64, now: Instant) -> Step {
        // What can't be written down is not done.
        if hands.ledger.is_refusing() {
            return Step::Away;
        }
        if self.round.is_none() {
            self.unread.retain(|(_, until)| now < *until);
        }
        let round = self.round.get_or_insert(Round {
            now_ms,
            cursor: None,
            began: now,
        });
        let (until, cursor) = (round.now_ms, round.cursor.take());
        let page = match self.look(hands, until, cursor, now).await {
            Ok(Look::Page(page)) => page,
            Ok(Look::Again) => return Step::More,
            Err(refusal) => return self.failed(&refusal, hands),
        };
        let rows = self.not_held(page.rows, now);
        if let Err(refusal) = self.remove(hands, until, rows, now).await {
            return self.failed(&refusal, hands);
        }
        self.in_vain = 0;
        self.due = None;
        if page.cursor.is_some() {
            if let Some(round) = &mut self.round {
                round.cursor = page.cursor;
            }
            return Step::More;
        }
        self.end_round();
        Step::Done
    }

    /// Finds some rows. Where a time among them can't be read, half as many are looked for, down to the one, which is left out.
    async fn look(
        &mut self,
        hands: &Hands<'_>,
        now_ms: i64,
        cursor: Option<Vec<u8>>,
        now: Instant,
    ) -> Result<Look, Refusal> {
        let refusal = match self.find(hands, now_ms, cursor.clone()).await {
            Ok(page) => {
                if self.size < FEWEST {
                    self.size = self.size.saturating_mul(2);
                }
                return Ok(Look::Page(page));
            }
            Err(refusal) => refusal,
        };
        let failure = &refusal.failure;
        if failure.code != Code::Internal || failure.advice != Advice::Final {
            return Err(refusal);
        }
        // Where their keys can't be read either, it is not for the times of some.
        let listed = self
            .listed(hands, now_ms, cursor.clone(), ExpiredCells::Key)
            .await;
        let rows = listed.map_or_else(|_| Vec::new(), |listed| listed.data);
        match rows.as_slice() {
            [] => return Err(refusal),
            [row] => self.leave_out(row, hands, now, refusal)?,
            several => {
                let half = u32::try_from(several.len().div_ceil(2)).unwrap_or(MOST);
                self.size = half.min(MOST);
                if let Some(round) = &mut self.round {
                    round.cursor = cursor;
                }
            }
        }
        Ok(Look::Again)
    }

    /// The round goes on from its beginning, since a cursor is good for one question; what it has removed is gone.
    fn leave_out(
        &mut self,
        row: &Json,
        hands: &Hands<'_>,
        now: Instant,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        let entity = hands.schema.entity(self.entity);
        let key = entity
            .and_then(|entity| entity.column(entity.key))
            .and_then(|key| found(row, key));
        let (Some(found), Some(until)) = (key, now.checked_add(HELD_FOR)) else {
            return Err(refusal);
        };
        if self.unread.len() >= UNREAD {
            return Err(refusal);
        }
        self.unread.push((found.value, until));
        if !self.is_unread_told {
            self.is_unread_told = true;
            tracing::warn!(
                entity = self.name,
                detail = refusal.detail,
                "a row's time can't be read, so it is not removed; others are. Such rows are tried again after an hour, and \
                 `dbal_expired_rows_held` counts them"
            );
            let removal = Removal::NotDone { refusal: &refusal };
            hands.ledger.expired(&self.name, &removal);
        }
        Ok(())
    }

    async fn find(&self, hands: &Hands<'_>, now_ms: i64, cursor: Option<Vec<u8>>) -> Result<Page, Refusal> {
        let entity = hands.schema.entity(self.entity);
        let (key, by) = entity
            .and_then(|entity| Some((entity.column(entity.key)?, entity.expires_by()?)))
            .ok_or_else(|| ours("its key or its time is not in the schema"))?;
        let listed = self
            .listed(hands, now_ms, cursor, ExpiredCells::KeyAndTime)
            .await?;
        Ok(Page {
            // A key that is not of its type names no row.
            rows: listed
                .data
                .iter()
                .filter(|row| is_over(row, by, now_ms))
                .filter_map(|row| found(row, key))
                .collect(),
            cursor: listed.cursor.map(String::into_bytes),
        })
    }

    async fn listed(
        &self,
        hands: &Hands<'_>,
        now_ms: i64,
        cursor: Option<Vec<u8>>,
        cells: ExpiredCells,
    ) -> Result<Listed, Refusal> {
        let but: Vec<Value> = self.unread.iter().map(|(key, _)| key.clone()).collect();
        let sought = Sought {
            now_ms,
            limit: self.size,
            cursor,
            but: &but,
            cells,
        };
        let plan = ValidPlan::of_expired(hands.schema, self.entity, sought)
            .and_then(|plan| match cells {
                ExpiredCells::KeyAndTime => plan.with_places(hands.places),
                // A place is made of the time.
                ExpiredCells::Key => plan.with_start(hands.places),
            })
            .map_err(|invalid| ours(&invalid.to_string()))?;
        let Reply { json, .. } = hands.ask(plan).await?;
        serde_json::from_str(&json).map_err(|error| ours(&error.to_string()))
    }

    /// Those that may go, as far as is known.
    fn not_held(&mut self, rows: Vec<Found>, now: Instant) -> Vec<Found> {
        let mut free = Vec::with_capacity(rows.len());
        for row in rows {
            match self.held.get_mut(&row.mark) {
                Some(held) if now < held.until => held.seen = now,
                Some(_) | None => free.push(row),
            }
        }
        free
    }

    /// Removes them together; where some of them can't be, halves of them, down to those.
    async fn remove(
        &mut self,
        hands: &Hands<'_>,
        now_ms: i64,
        rows: Vec<Found>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let (mut parts, mut tries) = (vec![rows], 0_u32);
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let began = Instant::now();
            match self.remove_together(hands, now_ms, &part).await {
                Ok(()) => {
                    self.adapt(began.elapsed());
                    for row in &part {
                        self.held.remove(&row.mark);
                    }
                }
                Err(refusal) if is_of_rows(&refusal) => {
                    tries = tries.saturating_add(1);
                    if let [row] = part.as_slice() {
                        self.hold(row, now, &refusal, hands.ledger);
                    } else if tries < TRIES {
                        let half = part.len().div_ceil(2);
                        let behind = part.split_off(half);
                        parts.push(behind);
                        parts.push(part);
                    }
                }
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    async fn remove_together(&self, hands: &Hands<'_>, now_ms: i64, rows: &[Found]) -> Result<(), Refusal> {
        let keys = rows.iter().map(|row| row.value.clone()).collect();
        let plan = ValidPlan::removal_of_expired(hands.schema, self.entity, now_ms, keys);
        let plan =
            plan.map_err(|invalid| Refusal::new(Code::Internal, Advice::Final, invalid.to_string()))?;
        let began = Instant::now();
        let outcome = hands.ask(plan).await.map(|reply| reply.rows);
        let most = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let removal = match &outcome {
            Ok(0) => return Ok(()),
            Ok(rows) => Removal::Done {
                rows: *rows,
                took: began.elapsed(),
            },
            Err(refusal) if refusal.failure.advice == Advice::OutcomeUnknown => Removal::Unknown {
                most,
                took: began.elapsed(),
                refusal,
            },
            Err(_) => return outcome.map(|_| ()),
        };
        hands.ledger.expired(&self.name, &removal);
        outcome.map(|_| ())
    }

    /// Calls of clients wait for what runs before them.
    fn adapt(&mut self, took: Duration) {
        if took > LONG {
            self.size = self.size.div_euclid(2).max(FEWEST);
        } else if took < SHORT {
            self.size = self.size.saturating_mul(2).min(MOST);
        }
    }

    fn hold(&mut self, row: &Found, now: Instant, refusal: &Refusal, ledger: &Ledger) {
        if (self.held.len() < HELD || self.held.contains_key(&row.mark))
            && let Some(until) = now.checked_add(HELD_FOR)
        {
            self.held.insert(row.mark, Held { until, seen: now });
        }
        // Once, until they are gone: not at each round.
        if !self.is_held_told {
            self.is_held_told = true;
            tracing::warn!(
                entity = self.name,
                code = refusal.failure.code.number(),
                detail = refusal.detail,
                "rows whose time is over can't be removed: other rows refer to them (`on_delete: restrict`), or a rule of the database \
                 keeps them; each is tried again after an hour, and `dbal_expired_rows_held` counts them"
            );
            ledger.expired(&self.name, &Removal::NotDone { refusal });
        }
    }

    /// What was held and not found again is gone, or has got more time.
    fn end_round(&mut self) {
        if let Some(round) = self.round.take() {
            self.held.retain(|_, held| held.seen >= round.began);
        }
        if self.is_held_told && self.held.is_empty() {
            self.is_held_told = false;
            tracing::info!(entity = self.name, "no row whose time is over is held any more");
        }
        // They are looked for again in the first round after their hour.
        if self.is_unread_told && self.unread.is_empty() {
            self.is_unread_told = false;
            tracing::info!(entity = self.name, "every row's time can be read again");
        }
    }

    /// The next round begins anew.
    fn failed(&mut self, refusal: &Refusal, hands: &Hands<'_>) -> Step {
        self.round = None;
        let code = refusal.failure.code;
        if code == Code::Timeout {
            self.size = self.size.div_euclid(2).max(FEWEST);
        } else if refusal.failure.advice != Advice::Final {
            // The pool has logged why it fails.
            tracing::debug!(
                entity = self.name,
                detail = refusal.detail,
                "no rows were removed"
            );
            return Step::Away;
        }
        self.in_vain = self.in_vain.saturating_add(1);
        if self.in_vain == 1 {
            tracing::warn!(
                entity = self.name,
                code = code.number(),
                detail = refusal.detail,
                "rows whose time is over are not removed: it is tried again, less and less often, and `dbal schema check` may tell why"
            );
            let removal = Removal::NotDone { refusal };
            hands.ledger.expired(&self.name, &removal);
        }
        Step::Failed(self.in_vain)
    }
}

fn ours(detail: &str) -> Refusal {
    Refusal::new(Code::Internal, Advice::Final, detail)
}

/// Whether some rows of a removal can't go, and others may.
fn is_of_rows(refusal: &Refusal) -> bool {
    let is_of_rows = matches!(
        refusal.failure.code,
        Code::Invalid | Code::Conflict | Code::Forbidden
    );
    is_of_rows && refusal.failure.advice == Advice::Final
}

/// Whether the row's time is over as a client would see it: a table of others may hold times that its database puts into another order.
fn is_over(row: &Json, by: &Column, now_ms: i64) -> bool {
    let time = row
        .member(&by.name)
        .and_then(|json| by.operand_from_json(json).ok());
    matches!(time, Some(Value::Timestamp(ms) | Value::Int(ms)) if ms <= now_ms)
}

fn found(row: &Json, key: &Column) -> Option<Found> {
    let json = row.member(&key.name)?;
    let mut hasher = DefaultHasher::new();
    format!("{json:?}").hash(&mut hasher);
    Some(Found {
        value: key.operand_from_json(json).ok()?,
        mark: hasher.finish(),
    })
}
