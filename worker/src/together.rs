//! A transaction on its way: plans that are ready, and plans that wait for what earlier ones answer. Those are judged once
//! more when they are whole, by the same function and for the same caller.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dbal_policy::Policy;
use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::json::Json;
use dbal_shared::message::{Advice, Isolation};
use dbal_shared::plan::{Action, Plan};
use dbal_shared::value::{Earlier, Value};
use dbal_sql::{Places, ValidPlan};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::execute;
use crate::job::Refusal;
use crate::ledger::Memo;
use crate::session::Session;

/// Plans that are done together, all or none.
pub struct Transaction {
    isolation: Isolation,
    steps: Vec<Step>,
    /// For each step the columns of its row that later ones refer to.
    wanted: Vec<Vec<ColumnId>>,
    policy: Arc<Policy>,
    places: Arc<dyn Places>,
    session: Arc<Session>,
    now_ms: i64,
    /// What the last try came to, for the audit.
    ran: Mutex<Vec<Ran>>,
}

/// One plan of it.
pub enum Step {
    /// Nothing in it is to be known later.
    Ready(ValidPlan),
    /// It refers to what earlier ones answer.
    Waiting(Plan),
}

/// What the audit is told of a step that ran.
pub struct Ran {
    /// Keys that the plan names or makes.
    keys: Vec<String>,
    /// The rules that decided, where they were asked again.
    rule: Option<Arc<str>>,
    /// Rows read or changed.
    rows: u64,
}

/// What the steps of one try have answered so far, as far as later ones refer to it.
#[derive(Default)]
pub struct Answered {
    rows: Vec<Option<HashMap<ColumnId, Value>>>,
}

/// A step that may run now.
pub enum Runnable<'a> {
    /// It was ready from the start.
    Ready(&'a ValidPlan),
    /// It is whole now; the rules that granted it.
    Whole(Box<ValidPlan>, Option<Arc<str>>),
}

impl Runnable<'_> {
    /// The plan.
    pub fn plan(&self) -> &ValidPlan {
        match self {
            Runnable::Ready(plan) => plan,
            Runnable::Whole(plan, _) => plan,
        }
    }
}

impl Transaction {
    /// Steps that were all granted.
    pub fn new(
        isolation: Isolation,
        steps: Vec<Step>,
        policy: Arc<Policy>,
        places: Arc<dyn Places>,
        session: Arc<Session>,
        now_ms: i64,
    ) -> Self {
        let mut wanted = vec![Vec::new(); steps.len()];
        for step in &steps {
            let Step::Waiting(plan) = step else { continue };
            for Earlier { call, column } in plan.action.refers_to() {
                if let Some(columns) = wanted.get_mut(usize::from(call))
                    && !columns.contains(&column)
                {
                    columns.push(column);
                }
            }
        }
        Self {
            isolation,
            steps,
            wanted,
            policy,
            places,
            session,
            now_ms,
            ran: Mutex::default(),
        }
    }

    /// What it may see of others that run beside it. An adapter may give more.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Whether it changes the database.
    pub fn is_write(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Ready(plan) => plan.action().is_write(),
            Step::Waiting(plan) => plan.action.is_write(),
        })
    }

    /// What each step does to which entity; none where the schema has no such entity.
    pub fn actions(&self) -> impl Iterator<Item = (Option<EntityId>, &Action)> {
        self.steps.iter().map(|step| match step {
            Step::Ready(plan) => (plan.entity().map(|entity| entity.id), plan.action()),
            Step::Waiting(plan) => (Some(plan.entity), &plan.action),
        })
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Begins a try; what a former one came to is forgotten.
    pub fn begin(&self) -> Answered {
        self.ran().clear();
        Answered::default()
    }

    /// The step at this place, with everything put in that it refers to.
    pub fn step(&self, at: usize, answered: &Answered) -> Result<Runnable<'_>, Refusal> {
        match self.steps.get(at) {
            Some(Step::Ready(plan)) => Ok(Runnable::Ready(plan)),
            Some(Step::Waiting(Plan { entity, action })) => {
                let plan = Plan {
                    entity: *entity,
                    action: action.resolved(|earlier| answered.find(earlier))?,
                };
                let (policy, places) = (&self.policy, &self.places);
                let (plan, rule) = execute::judge_again(plan, policy, places, &self.session, self.now_ms)?;
                Ok(Runnable::Whole(Box::new(plan), rule))
            }
            None => Err(Refusal::new(Code::Internal, Advice::Final, "no such step")),
        }
    }

    /// Notes what a step came to. `json` is its answer.
    pub fn note(
        &self,
        at: usize,
        runnable: Runnable<'_>,
        json: &str,
        rows: u64,
        answered: &mut Answered,
    ) -> Result<(), Refusal> {
        let plan = runnable.plan();
        let entity = plan.entity();
        let row = match (self.wanted.get(at), entity) {
            (Some(columns), Some(entity)) if !columns.is_empty() => fields(json, columns, entity)?,
            _ => None,
        };
        answered.rows.push(row);
        let keys = entity.map_or_else(Vec::new, |entity| execute::keys(plan.action(), entity));
        let rule = match runnable {
            Runnable::Ready(_) => None,
            Runnable::Whole(_, rule) => rule,
        };
        self.ran().push(Ran { keys, rule, rows });
        Ok(())
    }

    /// Puts what the last try came to into the memos of the calls.
    pub fn tell(&self, memos: &mut [Memo]) {
        for (memo, Ran { keys, rule, rows }) in memos.iter_mut().zip(self.ran().drain(..)) {
            memo.keys = keys;
            memo.rows = Some(rows);
            if rule.is_some() {
                memo.rule = rule;
            }
        }
    }

    fn ran(&self) -> MutexGuard<'_, Vec<Ran>> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answered {
    fn find(&self, earlier: Earlier) -> Result<Value, Refusal> {
        let Earlier { call, column } = earlier;
        let row = self.rows.get(usize::from(call)).and_then(Option::as_ref);
        // Not found, or written and not to be seen: there is nothing that the caller could have meant.
        let detail = "it refers to a call that answered no row";
        row.and_then(|row| row.get(&column))
            .cloned()
            .ok_or_else(|| Refusal::new(Code::NotFound, Advice::Final, detail))
    }
}

/// The values of some fields of a row's JSON, in one pass; none where there is no row. Reading back what the caller is
/// shown is what makes a reference worth no more than the answer.
fn fields(
    json: &str,
    columns: &[ColumnId],
    entity: &Entity,
) -> Result<Option<HashMap<ColumnId, Value>>, Refusal> {
    let unreadable = |what: &str| Refusal::new(Code::Internal, Advice::Final, what);
    if json == "null" {
        return Ok(None);
    }
    let seed = Fields { columns, entity };
    let found = seed
        .deserialize(&mut serde_json::Deserializer::from_str(json))
        .map_err(|_| unreadable("an answer that can't be read back"))?;
    let mut values = HashMap::with_capacity(found.len());
    for (id, json) in found {
        let value = match (entity.column(id), json) {
            (Some(_), Json::Null) => Value::Null,
            (Some(column), json) => column
                .operand_from_json(&json)
                .map_err(|_| unreadable("a field of an answer that can't be read back"))?,
            (None, _) => return Err(unreadable("a field that is not in the schema")),
        };
        values.insert(id, value);
    }
    Ok(Some(values))
}

struct Fields<'a> {
    columns: &'a [ColumnId],
    entity: &'a Entity,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Vec<(ColumnId, Json)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Vec<(ColumnId, Json)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::with_capacity(self.columns.len());
        while let Some(name) = members.next_key::<String>()? {
            let column = self.entity.column_by_name(&name).map(|column| column.id);
            match column.filter(|column| self.columns.contains(column)) {
                Some(column) => found.push((column, members.next_value()?)),
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}
