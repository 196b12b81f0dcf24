//! Linked rows: they count only where the caller may list them, and only by what is shown of them. A filter that could
//! look through a relation at what a list hides would be a way around every rule.

use dbal_schema::ColumnSet;
use dbal_shared::fault::Fault;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::{Include, Operation};
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::ReadTerms;

use super::reading::Sight;
use super::simplify::simplified;
use super::{Decision, Granting};
use crate::denied::{Denied, Reason};
use crate::wellformed::Linked;

impl<'a> Decision<'a> {
    /// The decision about a linked entity; none where the caller may not list it.
    pub(super) fn linked(&self, entity: EntityId) -> Option<Decision<'a>> {
        let found = self.policy.schema.entity(entity)?;
        let access = self.subject.access.entity(entity)?;
        let is_listed = !access.operation(Operation::List).rules.is_empty();
        is_listed.then_some(Decision {
            policy: self.policy,
            subject: self.subject,
            entity: found,
            access,
        })
    }

    /// What is wrong with what a plan says of linked rows. Who may not list them, or not see a column that is used, hears
    /// what he would hear if there were no such relation.
    pub(super) fn fault_of_linked(&self, linked: &Linked) -> Option<Fault> {
        let Some(decision) = self.linked(linked.entity) else {
            return Some(Fault::Unknown);
        };
        let readable = decision.access.operation(Operation::List).readable;
        if !linked.probed.is_subset(&readable) {
            return Some(Fault::Unknown);
        }
        let (_, first) = linked.faults.first()?;
        let is_known = linked.faults.iter().all(|(column, _)| readable.contains(*column));
        Some(if is_known { first.clone() } else { Fault::Unknown })
    }

    /// The caller's filter, with each condition on linked rows held to those that the caller may see, and to those among
    /// them in which every column is shown that the condition speaks of.
    pub(super) fn filter(&self, filter: Predicate, granting: &mut Granting) -> Predicate {
        simplified(self.narrowed(filter, granting))
    }

    /// What a read shows of its rows, with what they bring along. A column that leads to included rows is masked like a
    /// shown one: where it is hidden, so is what it leads to.
    pub(super) fn shown(
        &self,
        sight: &Sight,
        projection: &[ColumnId],
        probed: &ColumnSet,
        includes: &mut [Include],
        granting: &mut Granting,
    ) -> Result<ReadTerms, Denied> {
        let mut columns = projection.to_vec();
        for Include { link, .. } in includes.iter() {
            if !columns.contains(&link.column) {
                columns.push(link.column);
            }
        }
        let mut rules = Granting::new();
        let mut read = sight.read_terms(&columns, probed, &mut rules);
        add(rules, granting);
        for include in includes {
            read.includes.push(self.included(include, granting)?);
        }
        Ok(read)
    }

    fn included(&self, include: &mut Include, granting: &mut Granting) -> Result<ReadTerms, Denied> {
        let Include {
            link,
            filter,
            order,
            limit,
            projection,
            includes,
        } = include;
        // `columns_known` has found it readable, and the entity listed.
        let unknown = || {
            self.deny(
                Operation::List,
                Reason::Fields(vec![(link.column, Fault::Unknown)]),
            )
        };
        let linked = self.linked(link.entity).ok_or_else(unknown)?;
        let mut probed = ColumnSet::new();
        probed.insert(link.foreign);
        own_columns(filter, &mut probed);
        for key in order.iter() {
            probed.insert(key.column);
        }
        linked.cut(projection, Operation::List);
        if projection.is_empty() {
            return Err(unknown());
        }
        *limit = (*limit).min(linked.most_rows());
        let wanted = std::mem::replace(filter, Predicate::True);
        *filter = linked.filter(wanted, granting);
        let sight = linked.sight(Operation::List);
        linked.shown(&sight, projection, &probed, includes, granting)
    }

    fn narrowed(&self, filter: Predicate, granting: &mut Granting) -> Predicate {
        match filter {
            Predicate::Related {
                link,
                quantifier,
                within: _,
                predicate,
            } => {
                let (within, predicate) = match self.linked(link.entity) {
                    Some(linked) => {
                        let mut probed = ColumnSet::new();
                        probed.insert(link.foreign);
                        own_columns(&predicate, &mut probed);
                        let rows = linked.visible(&probed, granting);
                        (rows, linked.narrowed(*predicate, granting))
                    }
                    None => (Predicate::False, *predicate),
                };
                Predicate::Related {
                    link,
                    quantifier,
                    within: Box::new(within),
                    predicate: Box::new(predicate),
                }
            }
            Predicate::And(parts) => Predicate::And(self.each(parts, granting)),
            Predicate::Or(parts) => Predicate::Or(self.each(parts, granting)),
            Predicate::Not(inner) => Predicate::Not(Box::new(self.narrowed(*inner, granting))),
            Predicate::True
            | Predicate::False
            | Predicate::Compare { .. }
            | Predicate::CompareColumns { .. }
            | Predicate::In { .. }
            | Predicate::Matches { .. }
            | Predicate::IsNull { .. }
            | Predicate::Between { .. } => filter,
        }
    }

    fn each(&self, parts: Vec<Predicate>, granting: &mut Granting) -> Vec<Predicate> {
        parts
            .into_iter()
            .map(|part| self.narrowed(part, granting))
            .collect()
    }

    /// Rows that a list shows, with all of these columns in them.
    fn visible(&self, probed: &ColumnSet, granting: &mut Granting) -> Predicate {
        let mut rules = Granting::new();
        let read = self.sight(Operation::List).read_terms(&[], probed, &mut rules);
        add(rules, granting);
        read.rows
    }
}

/// Rules that granted, each once.
fn add(rules: Granting, granting: &mut Granting) {
    for rule in rules {
        if !granting.contains(&rule) {
            granting.push(rule);
        }
    }
}

/// The columns of its own entity that a filter speaks of.
fn own_columns(filter: &Predicate, into: &mut ColumnSet) {
    match filter {
        Predicate::True | Predicate::False => {}
        Predicate::Compare { column, .. }
        | Predicate::In { column, .. }
        | Predicate::Matches { column, .. }
        | Predicate::IsNull { column }
        | Predicate::Between { column, .. } => into.insert(*column),
        Predicate::CompareColumns { left, op: _, right } => {
            into.insert(*left);
            into.insert(*right);
        }
        Predicate::Related { link, .. } => into.insert(link.column),
        Predicate::And(parts) | Predicate::Or(parts) => {
            for part in parts {
                own_columns(part, into);
            }
        }
        Predicate::Not(inner) => own_columns(inner, into),
    }
}
