//! `explain`: what would become of a call, in words that its caller may know. Nothing of it runs.

use dbal_policy::{Cost, Grant, Policy, Subject};
use dbal_schema::Entity;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::json::Json;
use dbal_shared::plan::{Action, Include, Operation, Plan, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::{Mask, ReadTerms, Terms, WriteTerms};
use serde_json::{Map, Value, json};

use super::arguments::{Arguments, shown};
use super::assignments::assignments;
use super::{Meta, Method, Params, Together, Wanted};
use crate::refusal::Refusal;

/// What is to be explained.
#[derive(Debug)]
pub struct Explained {
    /// The call's method: one that asks something of the database.
    pub method: Method,
    /// Its parameters, as they would be sent.
    pub params: Params,
    /// What is said about the explaining itself.
    pub meta: Meta,
}

/// Reads the parameters of `explain`.
pub fn explained(params: &Params) -> Result<Explained, Refusal> {
    let arguments = Arguments::new(Method::Explain, params)?;
    let name = arguments.text("method")?;
    let method = Method::by_name(name)
        .ok_or_else(|| arguments.fault(&format!("`method` names no method: `{}`", shown(name))))?;
    if !method.asks_database() {
        return Err(arguments.fault(&format!(
            "`{name}` is not explained: it asks nothing of the database by itself; explain its calls one by one"
        )));
    }
    let params = match arguments.optional("params") {
        None | Some(Json::Null) => Params::Positional(Vec::new()),
        Some(Json::List(values)) => Params::Positional(values.clone()),
        Some(Json::Object(members)) => Params::Named(members.clone()),
        Some(_) => return Err(arguments.fault("`params` must be an array or an object")),
    };
    Ok(Explained {
        method,
        params,
        meta: arguments.meta()?,
    })
}

/// Who hears an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearer {
    /// The caller: nothing that the call itself would not tell.
    Caller,
    /// Somebody who may read the policy.
    Operator,
}

/// What is told of a call that the policy grants.
pub fn granted(
    method: Method,
    wanted: &Wanted,
    grants: &[Grant],
    policy: &Policy,
    subject: &Subject,
    hearer: Hearer,
) -> Value {
    let max = policy.limits(subject).max_complexity;
    let teller = Teller {
        policy,
        subject,
        hearer,
    };
    let mut told = match wanted {
        Wanted::One(plan) => grants
            .first()
            .map_or_else(Map::new, |grant| teller.call(plan, grant)),
        Wanted::Together(Together { isolation, plans }) => {
            let calls: Vec<Value> = plans
                .iter()
                .zip(grants)
                .map(|(plan, grant)| {
                    let mut call = teller.call(plan, grant);
                    call.insert("complexity".to_owned(), complexity(grant.cost(), None));
                    Value::Object(call)
                })
                .collect();
            let mut told = Map::new();
            told.insert("isolation".to_owned(), json!(isolation.name()));
            told.insert("calls".to_owned(), Value::Array(calls));
            told
        }
    };
    let cost = grants
        .iter()
        .fold(Cost::default(), |sum, grant| sum.and(grant.cost()));
    told.insert("allowed".to_owned(), json!(true));
    told.insert("method".to_owned(), json!(method.name()));
    told.insert("complexity".to_owned(), complexity(cost, Some(max)));
    Value::Object(told)
}

/// What is told of a call that is refused: the very error that it would get.
pub fn refused(method: Method, refusal: &Refusal) -> Value {
    let mut error = Map::new();
    error.insert("code".to_owned(), json!(refusal.code().number()));
    error.insert("message".to_owned(), json!(refusal.code().message()));
    if let Some(details) = refusal.details() {
        error.insert("details".to_owned(), json!(details));
    }
    let mut told = Map::new();
    told.insert("allowed".to_owned(), json!(false));
    told.insert("method".to_owned(), json!(method.name()));
    told.insert("error".to_owned(), Value::Object(error));
    if let Some((cost, max)) = refusal.cost() {
        told.insert("complexity".to_owned(), complexity(cost, Some(max)));
    }
    Value::Object(told)
}

fn complexity(cost: Cost, max: Option<u32>) -> Value {
    let parts: Map<String, Value> = cost
        .lines()
        .map(|(item, cost)| (item.name().to_owned(), json!(cost)))
        .collect();
    match max {
        Some(max) => json!({"total": cost.total(), "max": max, "parts": parts}),
        None => json!({"total": cost.total(), "parts": parts}),
    }
}

/// Who tells it, and to whom.
#[derive(Clone, Copy)]
struct Teller<'a> {
    policy: &'a Policy,
    subject: &'a Subject,
    hearer: Hearer,
}

impl Teller<'_> {
    fn call(self, wanted: &Plan, grant: &Grant) -> Map<String, Value> {
        let Terms {
            plan: Plan { entity: id, action },
            read,
            write,
            create,
        } = grant.terms();
        let operation = action.operation();
        let mut told = Map::new();
        let Some(entity) = self.policy.schema().entity(*id) else {
            return told;
        };
        told.insert("entity".to_owned(), json!(entity.name));
        told.insert("operation".to_owned(), json!(operation.name()));
        let words = |condition: &Predicate| json!(self.words(operation, *id, condition));
        match action {
            Action::Read {
                target: _,
                projection,
                includes,
            }
            | Action::FindFirst {
                filter: _,
                order: _,
                projection,
                includes,
            } => self.shown(&mut told, entity, operation, projection, includes, read),
            Action::List {
                filter: _,
                order: _,
                page,
                total,
                projection,
                includes,
                cursor,
            } => {
                self.shown(&mut told, entity, operation, projection, includes, read);
                let mut paged = Map::new();
                if cursor.is_none() {
                    paged.insert("number".to_owned(), json!(page.number));
                }
                paged.insert("limit".to_owned(), json!(page.limit));
                paged.insert("counted".to_owned(), json!(*total == Total::Counted));
                told.insert("page".to_owned(), Value::Object(paged));
            }
            Action::Count { filter: _ } => {
                told.insert("rows".to_owned(), words(&read.rows));
            }
            Action::Aggregate {
                filter: _,
                groups: _,
                count: _,
                measures: _,
                limit,
            } => {
                told.insert("rows".to_owned(), words(&read.rows));
                told.insert("page".to_owned(), json!({"limit": limit}));
            }
            Action::Create {
                values: _,
                projection,
            } => {
                told.insert("newRows".to_owned(), words(create));
                self.answered(&mut told, entity, operation, projection, read);
            }
            Action::CreateMany { rows: _ } => {
                told.insert("newRows".to_owned(), words(create));
            }
            Action::Update {
                target: _,
                values: _,
                projection,
            } => {
                told.insert("reaches".to_owned(), self.reaches(operation, *id, write));
                self.answered(&mut told, entity, operation, projection, read);
            }
            Action::UpdateMany { .. } | Action::Delete { .. } | Action::DeleteMany { .. } => {
                told.insert("reaches".to_owned(), self.reaches(operation, *id, write));
            }
            Action::Upsert {
                target: _,
                create: _,
                update: _,
                projection,
            } => {
                told.insert("newRows".to_owned(), words(create));
                told.insert("reaches".to_owned(), self.reaches(Operation::Update, *id, write));
                self.answered(&mut told, entity, operation, projection, read);
            }
        }
        let filled = self.filled(entity, operation, &wanted.action, action);
        if !filled.is_empty() {
            told.insert("filledIn".to_owned(), json!(filled));
        }
        told
    }

    fn words(self, operation: Operation, entity: EntityId, condition: &Predicate) -> String {
        match self.hearer {
            Hearer::Caller => self.policy.words_for(self.subject, operation, entity, condition),
            Hearer::Operator => self.policy.words(entity, condition),
        }
    }

    /// Which rows, which fields of them, and what they bring along.
    fn shown(
        self,
        told: &mut Map<String, Value>,
        entity: &Entity,
        operation: Operation,
        projection: &[ColumnId],
        includes: &[Include],
        terms: &ReadTerms,
    ) {
        let ReadTerms {
            rows,
            masks,
            includes: of_includes,
        } = terms;
        told.insert("rows".to_owned(), json!(self.words(operation, entity.id, rows)));
        self.fields(told, entity, operation, projection, masks);
        let linked: Vec<Value> = includes
            .iter()
            .zip(of_includes)
            .filter_map(|(include, terms)| self.included(entity, include, terms))
            .collect();
        if !linked.is_empty() {
            told.insert("include".to_owned(), Value::Array(linked));
        }
    }

    fn included(self, entity: &Entity, include: &Include, terms: &ReadTerms) -> Option<Value> {
        let Include {
            link,
            filter: _,
            order: _,
            limit,
            projection,
            includes,
        } = include;
        let linked = self.policy.schema().entity(link.entity)?;
        let mut told = Map::new();
        told.insert(
            "relation".to_owned(),
            json!(entity.relation(*link)?.name.as_str()),
        );
        told.insert("entity".to_owned(), json!(linked.name));
        told.insert("limit".to_owned(), json!(limit));
        self.shown(&mut told, linked, Operation::List, projection, includes, terms);
        Some(Value::Object(told))
    }

    /// What the answer to a write shows of the written row, and when.
    fn answered(
        self,
        told: &mut Map<String, Value>,
        entity: &Entity,
        operation: Operation,
        projection: &[ColumnId],
        terms: &ReadTerms,
    ) {
        told.insert(
            "answeredIf".to_owned(),
            json!(self.words(operation, entity.id, &terms.rows)),
        );
        self.fields(told, entity, operation, projection, &terms.masks);
    }

    fn fields(
        self,
        told: &mut Map<String, Value>,
        entity: &Entity,
        operation: Operation,
        projection: &[ColumnId],
        masks: &[Mask],
    ) {
        told.insert("fields".to_owned(), json!(names(entity, projection)));
        let partly: Map<String, Value> = masks
            .iter()
            .filter(|mask| projection.contains(&mask.column))
            .filter_map(|Mask { column, shown_when }| {
                let name = entity.column(*column)?.name.clone();
                Some((name, json!(self.words(operation, entity.id, shown_when))))
            })
            .collect();
        if !partly.is_empty() {
            told.insert("shownOnlyWhere".to_owned(), Value::Object(partly));
        }
    }

    fn reaches(self, operation: Operation, entity: EntityId, ways: &[WriteTerms]) -> Value {
        let ways: Vec<Value> = ways
            .iter()
            .map(|WriteTerms { before, after }| {
                let rows = self.words(operation, entity, before);
                if operation == Operation::Delete {
                    json!({"rows": rows})
                } else {
                    json!({"rows": rows, "afterwards": self.words(operation, entity, after)})
                }
            })
            .collect();
        Value::Array(ways)
    }

    /// Fields that the policy fills in and the caller did not name, as far as he may know them.
    fn filled(self, entity: &Entity, operation: Operation, wanted: &Action, granted: &Action) -> Vec<String> {
        let Some(vocabulary) = self.policy.vocabulary(self.subject, entity.id, operation) else {
            return Vec::new();
        };
        let (before, after) = (written(wanted), written(granted));
        let mut filled: Vec<ColumnId> = Vec::new();
        for column in after {
            let is_known = self.hearer == Hearer::Operator
                || vocabulary.readable.contains(column)
                || vocabulary.preset.contains(column);
            if is_known && !before.contains(&column) && !filled.contains(&column) {
                filled.push(column);
            }
        }
        names(entity, &filled)
    }
}

fn names(entity: &Entity, columns: &[ColumnId]) -> Vec<String> {
    let found = columns.iter().filter_map(|column| entity.column(*column));
    found.map(|column| column.name.clone()).collect()
}

fn written(action: &Action) -> Vec<ColumnId> {
    assignments(action).map(|one| one.column).collect()
}
