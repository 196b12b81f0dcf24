//! A compiled expression: a predicate with holes for the caller's claims.
//!
//! There is no NOT but at the leaves, so a leaf that is made false can only take rows away.

use dbal_shared::ids::ColumnId;
use dbal_shared::predicate::{Comparison, Link, Predicate, Quantifier};
use dbal_shared::value::Value;

use crate::evaluate::order;
use crate::operators::holds;
use crate::slots::{Filled, SlotId};

/// A predicate with holes.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// Without holes.
    Fixed(Predicate),
    /// `column op claim`
    Compare {
        /// Left.
        column: ColumnId,
        /// How they are compared.
        op: Comparison,
        /// Right.
        slot: SlotId,
    },
    /// `column IN (values and claims)`, or its negation.
    In {
        /// What is sought.
        column: ColumnId,
        /// Fixed members of the list.
        values: Vec<Value>,
        /// Members that the caller brings.
        slots: Vec<SlotId>,
        /// NOT IN.
        is_negated: bool,
    },
    /// A question about the caller alone.
    Caller {
        /// What is asked about.
        slot: SlotId,
        /// The question.
        test: Test,
        /// Whether NO is the answer that is wanted.
        is_negated: bool,
    },
    /// About linked rows.
    Related {
        /// How they are linked.
        link: Link,
        /// How many of them.
        quantifier: Quantifier,
        /// What they must satisfy.
        inner: Box<Template>,
    },
    /// All of them.
    All(Vec<Template>),
    /// Any of them.
    Any(Vec<Template>),
}

/// What is asked of a caller's claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `claim op literal`
    Compare(Comparison, Value),
    /// Whether the claim, or one of its values, is among these.
    In(Vec<Value>),
}

impl Template {
    /// The predicate for one caller.
    ///
    /// INVARIANT: rules with a needed slot empty are left out before (`access`), since an absent claim makes the whole
    /// rule not apply. Should one come here all the same, its leaf is false.
    pub fn fill(&self, filled: &Filled) -> Predicate {
        match self {
            Template::Fixed(predicate) => predicate.clone(),
            Template::Compare { column, op, slot } => {
                filled
                    .one(*slot)
                    .map_or(Predicate::False, |value| Predicate::Compare {
                        column: *column,
                        op: *op,
                        value: value.clone(),
                    })
            }
            Template::In {
                column,
                values,
                slots,
                is_negated,
            } => {
                let claimed: Option<Vec<&[Value]>> = slots.iter().map(|slot| filled.all(*slot)).collect();
                let Some(claimed) = claimed else {
                    return Predicate::False;
                };
                let values = values
                    .iter()
                    .chain(claimed.into_iter().flatten())
                    .cloned()
                    .collect();
                let inside = Predicate::In {
                    column: *column,
                    values,
                };
                if *is_negated {
                    Predicate::Not(Box::new(inside))
                } else {
                    inside
                }
            }
            Template::Caller {
                slot,
                test,
                is_negated,
            } => match filled.all(*slot) {
                Some(values) if values.iter().any(|value| test.holds(value)) != *is_negated => {
                    Predicate::True
                }
                Some(_) | None => Predicate::False,
            },
            Template::Related {
                link,
                quantifier,
                inner,
            } => Predicate::Related {
                link: *link,
                quantifier: *quantifier,
                within: Box::new(Predicate::True),
                predicate: Box::new(inner.fill(filled)),
            },
            Template::All(all) => all
                .iter()
                .map(|one| one.fill(filled))
                .fold(Predicate::True, Predicate::and),
            Template::Any(any) => any
                .iter()
                .map(|one| one.fill(filled))
                .fold(Predicate::False, Predicate::or),
        }
    }

    /// The slots without which the rule does not apply.
    pub fn slots(&self, into: &mut Vec<SlotId>) {
        match self {
            Template::Fixed(_) => {}
            Template::Compare { slot, .. } | Template::Caller { slot, .. } => into.push(*slot),
            Template::In { slots, .. } => into.extend(slots),
            Template::Related { inner, .. } => inner.slots(into),
            Template::All(several) | Template::Any(several) => several.iter().for_each(|one| one.slots(into)),
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Test::Compare(op, literal) => order(value, literal).is_some_and(|order| holds(*op, order)),
            Test::In(literals) => literals.contains(value),
        }
    }
}
