//! Conditions of one policy in the terms of another's entities: columns by name and type, claims of the role as values.

use dbal_policy::slots::{Filled, Form, Slot, SlotId, Slots};
use dbal_policy::template::Template;
use dbal_policy::{Claim, Policy};
use dbal_schema::{Entity, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::predicate::{Link, Predicate};
use dbal_shared::value::Value;

/// From one policy's terms to another's.
pub(super) struct Translation<'a> {
    policy: &'a Policy,
    schema: &'a Schema,
    filled: &'a Filled,
    own: &'a Entity,
    other: &'a Entity,
    slots: &'a mut Slots,
}

impl<'a> Translation<'a> {
    /// Of conditions over `own`, an entity of `policy`, to such over `other`, one of `schema`. `filled` holds the claims that come
    /// with the role.
    pub(super) fn new(
        policy: &'a Policy,
        schema: &'a Schema,
        filled: &'a Filled,
        (own, other): (&'a Entity, &'a Entity),
        slots: &'a mut Slots,
    ) -> Self {
        Self {
            policy,
            schema,
            filled,
            own,
            other,
            slots,
        }
    }

    /// The column of the same name and type.
    pub(super) fn column(&self, column: ColumnId) -> Option<ColumnId> {
        let own = self.own.column(column)?;
        let other = self.other.column_by_name(&own.name)?;
        (own.kind == other.kind).then_some(other.id)
    }

    /// The slot of the same claim in the same type.
    pub(super) fn slot(&mut self, slot: SlotId) -> Option<SlotId> {
        let Slot { claim, form, is_list } = self.policy.slots().slot(slot)?.clone();
        let form = match form {
            Form::Column(entity, column) => {
                let own = self.policy.schema().entity(entity)?;
                let other = self.schema.by_name(&own.name)?;
                let (own, found) = (
                    own.column(column)?,
                    other.column_by_name(&own.column(column)?.name)?,
                );
                if own.kind != found.kind {
                    return None;
                }
                Form::Column(other.id, found.id)
            }
            Form::Text | Form::Int | Form::Bool => form,
        };
        Some(self.slots.index(Slot { claim, form, is_list }))
    }

    /// The condition; nothing where it can't be said.
    pub(super) fn template(&mut self, template: &Template) -> Option<Template> {
        Some(match template {
            Template::Fixed(predicate) => Template::Fixed(self.predicate(predicate)?),
            Template::Compare { column, op, slot } => {
                let column = self.column(*column)?;
                match self.known(*slot) {
                    Some([value]) => Template::Fixed(Predicate::Compare {
                        column,
                        op: *op,
                        value: value.clone(),
                    }),
                    Some(_) => return None,
                    None => Template::Compare {
                        column,
                        op: *op,
                        slot: self.slot(*slot)?,
                    },
                }
            }
            Template::In {
                column,
                values,
                slots,
                is_negated,
            } => {
                let mut all = values.clone();
                let mut left = Vec::new();
                for slot in slots {
                    match self.known(*slot) {
                        Some(known) => all.extend_from_slice(known),
                        None => left.push(self.slot(*slot)?),
                    }
                }
                Template::In {
                    column: self.column(*column)?,
                    values: all,
                    slots: left,
                    is_negated: *is_negated,
                }
            }
            Template::Caller {
                slot,
                test,
                is_negated,
            } => match self.known(*slot) {
                Some(_) => Template::Fixed(template.fill(self.filled)),
                None => Template::Caller {
                    slot: self.slot(*slot)?,
                    test: test.clone(),
                    is_negated: *is_negated,
                },
            },
            Template::Related {
                link,
                quantifier,
                inner,
            } => {
                let (other, mut linked) = self.linked(*link)?;
                Template::Related {
                    link: other,
                    quantifier: *quantifier,
                    inner: Box::new(linked.template(inner)?),
                }
            }
            Template::All(parts) => Template::All(self.each(parts)?),
            Template::Any(parts) => Template::Any(self.each(parts)?),
        })
    }

    fn each(&mut self, parts: &[Template]) -> Option<Vec<Template>> {
        parts.iter().map(|part| self.template(part)).collect()
    }

    fn predicate(&mut self, predicate: &Predicate) -> Option<Predicate> {
        Some(match predicate {
            Predicate::True => Predicate::True,
            Predicate::False => Predicate::False,
            Predicate::Compare { column, op, value } => Predicate::Compare {
                column: self.column(*column)?,
                op: *op,
                value: value.clone(),
            },
            Predicate::CompareColumns { left, op, right } => Predicate::CompareColumns {
                left: self.column(*left)?,
                op: *op,
                right: self.column(*right)?,
            },
            Predicate::In { column, values } => Predicate::In {
                column: self.column(*column)?,
                values: values.clone(),
            },
            Predicate::IsNull { column } => Predicate::IsNull {
                column: self.column(*column)?,
            },
            Predicate::Between { column, low, high } => Predicate::Between {
                column: self.column(*column)?,
                low: low.clone(),
                high: high.clone(),
            },
            // No rule says it.
            Predicate::Matches { .. } => return None,
            Predicate::Related {
                link,
                quantifier,
                within,
                predicate,
            } => {
                let (other, mut linked) = self.linked(*link)?;
                Predicate::Related {
                    link: other,
                    quantifier: *quantifier,
                    within: Box::new(linked.predicate(within)?),
                    predicate: Box::new(linked.predicate(predicate)?),
                }
            }
            Predicate::And(parts) => Predicate::And(self.predicates(parts)?),
            Predicate::Or(parts) => Predicate::Or(self.predicates(parts)?),
            Predicate::Not(inner) => Predicate::Not(Box::new(self.predicate(inner)?)),
        })
    }

    fn predicates(&mut self, parts: &[Predicate]) -> Option<Vec<Predicate>> {
        parts.iter().map(|part| self.predicate(part)).collect()
    }

    fn linked(&mut self, link: Link) -> Option<(Link, Translation<'_>)> {
        let column = self.column(link.column)?;
        let own = self.entity(link.entity)?;
        let other = self.schema.by_name(&own.name)?;
        let linked = Translation {
            policy: self.policy,
            schema: self.schema,
            filled: self.filled,
            own,
            other,
            slots: &mut *self.slots,
        };
        let foreign = linked.column(link.foreign)?;
        let link = Link {
            column,
            entity: other.id,
            foreign,
        };
        Some((link, linked))
    }

    fn entity(&self, entity: EntityId) -> Option<&'a Entity> {
        self.policy.schema().entity(entity)
    }

    /// What a claim of the role is.
    fn known(&self, slot: SlotId) -> Option<&'a [Value]> {
        match self.policy.slots().slot(slot)?.claim {
            Claim::Role | Claim::Roles | Claim::Level => Some(self.filled.all(slot).unwrap_or_default()),
            Claim::Id | Claim::Tenant | Claim::Named(_) => None,
        }
    }
}
