//! The decision: a wanted plan, narrowed to what the rules grant. Deterministic, no I/O, no clock, no panic.

mod cost;
mod linked;
mod reading;
mod simplify;
mod trace;
mod writing;

use std::sync::Arc;

use dbal_schema::Entity;
use dbal_shared::fault::Fault;
use dbal_shared::ids::ColumnId;
use dbal_shared::limits::ROWS_PER_ANSWER;
use dbal_shared::plan::{Action, Assignment, Operation, Page, Plan, Projection};
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::{ReadTerms, Terms, WriteTerms};

use crate::access::{EntityAccess, is_open};
use crate::denied::{Denied, Reason};
use crate::grant::Grant;
use crate::policy::Policy;
use crate::subject::Subject;
use crate::together::Before;
use crate::wellformed::{Inspected, inspect};
use cost::cost;
use reading::nothing;
use writing::{Reach, Write};

pub(crate) use trace::trace;
pub use trace::{Asked, Effect, Tried};

/// See [`Policy::decide`]. `before` are the grants of the calls before this one in its transaction.
pub(crate) fn decide(
    policy: &Policy,
    subject: &Subject,
    plan: Plan,
    before: &[Grant],
) -> Result<Grant, Denied> {
    let operation = plan.action.operation();
    let entity = policy.schema.entity(plan.entity);
    let deny = |reason| Denied::new(reason, operation, entity);
    if !policy.made(subject) {
        return Err(deny(Reason::StaleSubject));
    }
    let (Some(entity), Some(access)) = (entity, subject.access.entity(plan.entity)) else {
        // One answer for what does not exist and what the caller must not know of.
        return Err(deny(Reason::UnknownEntity));
    };
    let decision = Decision {
        policy,
        subject,
        entity,
        access,
    };
    decision.operations_granted(&plan.action)?;
    let before = Before::new(&policy.schema, before);
    let inspected = inspect(&plan.action, entity, &policy.schema, before).map_err(deny)?;
    decision.columns_known(&plan.action, &inspected)?;
    let cost = cost(&plan.action, &inspected, entity, &policy.schema);
    let max = subject.limits.max_complexity;
    if cost.total() > max {
        return Err(Denied::too_complex(cost, max, operation, Some(entity)));
    }
    let Plan { entity: id, action } = plan;
    let mut granting = Granting::new();
    let Narrowed {
        action,
        read,
        write,
        create,
    } = decision.narrow(action, &inspected, &mut granting)?;
    let terms = Box::new(Terms {
        plan: Plan { entity: id, action },
        read,
        write,
        create,
    });
    Grant::new(terms, granting, cost).map_err(|_| deny(Reason::Unencodable))
}

/// One call's decision.
struct Decision<'a> {
    policy: &'a Policy,
    subject: &'a Subject,
    entity: &'a Entity,
    access: &'a EntityAccess,
}

/// Ids of the rules that granted.
type Granting = Vec<Arc<str>>;

/// The narrowed action and its conditions.
struct Narrowed {
    action: Action,
    read: ReadTerms,
    write: Vec<WriteTerms>,
    create: Predicate,
}

impl Decision<'_> {
    fn deny(&self, operation: Operation, reason: Reason) -> Denied {
        Denied::new(reason, operation, Some(self.entity))
    }

    /// Whether any rule grants what is asked at all; an upsert asks for two things.
    fn operations_granted(&self, action: &Action) -> Result<(), Denied> {
        let second = matches!(action, Action::Upsert { .. }).then_some(Operation::Update);
        for operation in std::iter::once(action.operation()).chain(second) {
            if self.access.operation(operation).rules.is_empty() {
                let is_open = is_open(self.entity, operation);
                let reason = if is_open {
                    Reason::NotGranted
                } else {
                    Reason::Forbidden
                };
                return Err(self.deny(operation, reason));
            }
        }
        Ok(())
    }

    /// Refuses columns that the caller must not use so. A hidden column gets the answer of one that doesn't exist,
    /// whatever else is wrong with it.
    fn columns_known(&self, action: &Action, inspected: &Inspected) -> Result<(), Denied> {
        let operation = action.operation();
        let readable = self.access.sight(operation).readable;
        let mut usable = readable;
        let mut known = readable;
        if action.is_write() {
            if inspected.target == Some(self.entity.key) {
                usable.insert(self.entity.key);
                known.insert(self.entity.key);
            }
            for operation in [Operation::Create, Operation::Update] {
                let table = self.access.operation(operation);
                known = known.union(&table.writable).union(&table.preset);
            }
        }
        let hidden = inspected.probed.union(&inspected.leading).difference(&usable);
        let disguised = inspected.faults.iter().map(|(column, fault)| {
            let is_known = known.contains(*column) && !hidden.contains(*column);
            (*column, if is_known { fault.clone() } else { Fault::Unknown })
        });
        let mut faults: Vec<(ColumnId, Fault)> = disguised.collect();
        if !hidden.is_empty() {
            let new = hidden
                .iter()
                .filter(|column| !inspected.faults.iter().any(|(it, _)| it == column));
            faults.extend(new.map(|column| (column, Fault::Unknown)));
        }
        for linked in &inspected.linked {
            let is_told = faults.iter().any(|(column, _)| *column == linked.through);
            if let (false, Some(fault)) = (is_told, self.fault_of_linked(linked)) {
                faults.push((linked.through, fault));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(self.deny(operation, Reason::Fields(faults)))
        }
    }

    fn narrow(
        &self,
        action: Action,
        inspected: &Inspected,
        granting: &mut Granting,
    ) -> Result<Narrowed, Denied> {
        let operation = action.operation();
        let sight = self.sight(operation);
        let probed = &inspected.probed;
        // A row is found for writing only if the caller sees what it is found by; whoever names its key needs no finding.
        let seen = match inspected.target {
            Some(key) if key == self.entity.key => Predicate::True,
            Some(_) | None => sight.shows_all(probed),
        };
        let reading = |action, read| {
            Ok(Narrowed {
                action,
                read,
                write: Vec::new(),
                create: Predicate::False,
            })
        };
        let writing = |action, read, write| {
            Ok(Narrowed {
                action,
                read,
                write,
                create: Predicate::False,
            })
        };
        match action {
            Action::Read {
                target,
                mut projection,
                mut includes,
            } => {
                self.cut_read(&mut projection, operation)?;
                let read = self.shown(&sight, &projection, probed, &mut includes, granting)?;
                let action = Action::Read {
                    target,
                    projection,
                    includes,
                };
                reading(action, read)
            }
            Action::FindFirst {
                filter,
                order,
                mut projection,
                mut includes,
            } => {
                self.cut_read(&mut projection, operation)?;
                let read = self.shown(&sight, &projection, probed, &mut includes, granting)?;
                reading(
                    Action::FindFirst {
                        filter: self.filter(filter, granting),
                        order,
                        projection,
                        includes,
                    },
                    read,
                )
            }
            Action::List {
                filter,
                order,
                page,
                total,
                mut projection,
                mut includes,
                cursor,
            } => {
                self.cut_read(&mut projection, operation)?;
                let read = self.shown(&sight, &projection, probed, &mut includes, granting)?;
                let page = Page {
                    limit: page.limit.min(self.most_rows()),
                    ..page
                };
                reading(
                    Action::List {
                        filter: self.filter(filter, granting),
                        order,
                        page,
                        total,
                        projection,
                        includes,
                        cursor,
                    },
                    read,
                )
            }
            Action::Count { filter } => {
                let read = sight.read_terms(&[], probed, granting);
                reading(
                    Action::Count {
                        filter: self.filter(filter, granting),
                    },
                    read,
                )
            }
            Action::Aggregate {
                filter,
                groups,
                count,
                measures,
                limit,
            } => {
                // Every column of it is probed: no row goes into a number by a value that it hides.
                let read = sight.read_terms(&[], probed, granting);
                let action = Action::Aggregate {
                    filter: self.filter(filter, granting),
                    groups,
                    count,
                    measures,
                    limit: limit.min(self.most_rows()),
                };
                reading(action, read)
            }
            Action::Create {
                values,
                mut projection,
            } => {
                let mut rows = [values];
                let create = self.create(&mut rows, granting)?;
                let [values] = rows;
                self.cut(&mut projection, operation);
                let read = sight.answer_terms(&projection, granting);
                Ok(Narrowed {
                    action: Action::Create { values, projection },
                    read,
                    write: Vec::new(),
                    create,
                })
            }
            Action::CreateMany { mut rows } => {
                let create = self.create(&mut rows, granting)?;
                let action = Action::CreateMany { rows };
                Ok(Narrowed {
                    action,
                    read: nothing(),
                    write: Vec::new(),
                    create,
                })
            }
            Action::Update {
                target,
                mut values,
                mut projection,
            } => {
                let write = self.update(&mut values, Reach::Some, &seen, granting)?;
                self.cut(&mut projection, operation);
                let read = sight.answer_terms(&projection, granting);
                writing(
                    Action::Update {
                        target,
                        values,
                        projection,
                    },
                    read,
                    write,
                )
            }
            Action::UpdateMany { filter, mut values } => {
                let filter = self.filter(filter, granting);
                let write = self.update(&mut values, reach(&filter), &seen, granting)?;
                writing(Action::UpdateMany { filter, values }, nothing(), write)
            }
            Action::Delete { target } => {
                let write = self.delete(Reach::Some, &seen, granting)?;
                writing(Action::Delete { target }, nothing(), write)
            }
            Action::DeleteMany { filter } => {
                let filter = self.filter(filter, granting);
                let write = self.delete(reach(&filter), &seen, granting)?;
                writing(Action::DeleteMany { filter }, nothing(), write)
            }
            Action::Upsert {
                target,
                create,
                mut update,
                mut projection,
            } => {
                let mut rows = [create];
                let check = self.create(&mut rows, granting)?;
                let [create] = rows;
                let write = self.update(&mut update, Reach::Some, &seen, granting)?;
                self.cut(&mut projection, operation);
                let read = sight.answer_terms(&projection, granting);
                let action = Action::Upsert {
                    target,
                    create,
                    update,
                    projection,
                };
                Ok(Narrowed {
                    action,
                    read,
                    write,
                    create: check,
                })
            }
        }
    }

    fn create(&self, rows: &mut [Vec<Assignment>], granting: &mut Granting) -> Result<Predicate, Denied> {
        let given: Vec<&[Assignment]> = rows.iter().map(Vec::as_slice).collect();
        let writers = self.writers(&Write::new(Operation::Create, &given, Reach::Some))?;
        let check = self.create_terms(&writers, granting)?;
        for row in rows {
            writers.force(row);
        }
        Ok(check)
    }

    fn update(
        &self,
        values: &mut Vec<Assignment>,
        reach: Reach,
        seen: &Predicate,
        granting: &mut Granting,
    ) -> Result<Vec<WriteTerms>, Denied> {
        let given = [values.as_slice()];
        let writers = self.writers(&Write::new(Operation::Update, &given, reach))?;
        let terms = self.write_terms(Operation::Update, &writers, seen, granting)?;
        writers.force(values);
        Ok(terms)
    }

    fn delete(
        &self,
        reach: Reach,
        seen: &Predicate,
        granting: &mut Granting,
    ) -> Result<Vec<WriteTerms>, Denied> {
        let writers = self.writers(&Write::new(Operation::Delete, &[], reach))?;
        self.write_terms(Operation::Delete, &writers, seen, granting)
    }

    /// Leaves out of a projection what is never shown.
    fn cut(&self, projection: &mut Projection, operation: Operation) {
        let readable = self.access.sight(operation).readable;
        projection.retain(|column| readable.contains(*column));
    }

    /// The same for reads, which must leave something.
    fn cut_read(&self, projection: &mut Projection, operation: Operation) -> Result<(), Denied> {
        let wanted = projection.clone();
        self.cut(projection, operation);
        if projection.is_empty() {
            let unknown = wanted
                .into_iter()
                .map(|column| (column, Fault::Unknown))
                .collect();
            return Err(self.deny(operation, Reason::Fields(unknown)));
        }
        Ok(())
    }

    /// Most rows of one answer.
    fn most_rows(&self) -> u32 {
        let of_entity = self.entity.max_rows.unwrap_or(ROWS_PER_ANSWER);
        of_entity
            .min(self.subject.limits.max_rows)
            .clamp(1, ROWS_PER_ANSWER)
    }
}

fn reach(filter: &Predicate) -> Reach {
    if *filter == Predicate::True {
        Reach::All
    } else {
        Reach::Some
    }
}
