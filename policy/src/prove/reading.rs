//! Conditions of rules → formulas: true of whom, and of the row at which moment.

use dbal_schema::{ColumnSet, ColumnType, Schema};
use dbal_shared::ids::ColumnId;
use dbal_shared::predicate::{Comparison, Predicate, Quantifier};
use dbal_shared::value::Value;

use crate::expression::Claim;
use crate::operators::negated;
use crate::prove::formula::{Aspect, Formula, Literal, Moment, Opaque, Sort, Term, Variable};
use crate::slots::{Form, Slot, SlotId, Slots};
use crate::template::{Template, Test};

/// What of a condition is meant: it has three answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// It is true.
    True,
    /// It is false.
    False,
    /// It is false or unknown.
    NotTrue,
    /// It is true or unknown.
    NotFalse,
}

/// How the columns of conditions are to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    schema: &'a Schema,
    slots: &'a Slots,
    /// Columns that the write may change, where the row before it is meant.
    changing: Option<ColumnSet>,
}

impl Aim {
    fn of_negation(self) -> Self {
        match self {
            Aim::True => Aim::False,
            Aim::False => Aim::True,
            Aim::NotTrue => Aim::NotFalse,
            Aim::NotFalse => Aim::NotTrue,
        }
    }

    /// Whether it asks the same of a conjunction and of all its parts; if not, of any of them.
    fn is_of_all(self) -> bool {
        matches!(self, Aim::True | Aim::NotFalse)
    }

    /// Whether it is satisfied by an unknown answer.
    fn takes_unknown(self) -> bool {
        matches!(self, Aim::NotTrue | Aim::NotFalse)
    }
}

impl<'a> Reading<'a> {
    /// The row as it is read, or as it is after a write.
    pub fn now(schema: &'a Schema, slots: &'a Slots) -> Self {
        Self {
            schema,
            slots,
            changing: None,
        }
    }

    /// The row as it was before a write that changes these columns at most.
    #[must_use]
    pub fn before(self, changing: ColumnSet) -> Self {
        Self {
            changing: Some(changing),
            ..self
        }
    }

    /// Whether the answer to the condition is what is aimed at. A claim that is absent compares like NULL.
    pub fn template(&self, template: &Template, aim: Aim) -> Formula {
        match template {
            Template::Fixed(predicate) => self.predicate(predicate, aim),
            Template::Compare { column, op, slot } => match self.claim(*slot) {
                Some(claim) => compared(&self.column(*column), *op, &Term::Variable(claim), aim),
                None => Formula::TRUE,
            },
            Template::In {
                column,
                values,
                slots,
                is_negated,
            } => {
                let aim = if *is_negated { aim.of_negation() } else { aim };
                self.inside(*column, values, slots, aim)
            }
            Template::Caller {
                slot,
                test,
                is_negated,
            } => {
                let aim = if *is_negated { aim.of_negation() } else { aim };
                self.caller(*slot, test, aim)
            }
            Template::Related {
                link,
                quantifier,
                inner,
            } => {
                let linked = |exists: bool| {
                    Formula::Is(Literal::Linked {
                        moment: self.moment(),
                        link: *link,
                        inner: inner.as_ref().clone(),
                        exists,
                    })
                };
                // Never unknown: there is such a row or there is none.
                let is_wanted = matches!(aim, Aim::True | Aim::NotFalse);
                match quantifier {
                    Quantifier::Some => linked(is_wanted),
                    Quantifier::None => linked(!is_wanted),
                    // About rows for which the condition is *not* true, which no condition says. No rule has it.
                    Quantifier::Every => Formula::TRUE,
                }
            }
            Template::All(parts) => {
                joined(parts.iter().map(|part| self.template(part, aim)), aim.is_of_all())
            }
            Template::Any(parts) => joined(
                parts.iter().map(|part| self.template(part, aim)),
                !aim.is_of_all(),
            ),
        }
    }

    /// The same of a condition without claims.
    pub fn predicate(&self, predicate: &Predicate, aim: Aim) -> Formula {
        match predicate {
            Predicate::True => Formula::known(aim.is_of_all()),
            Predicate::False => Formula::known(!aim.is_of_all()),
            Predicate::Compare { column, op, value } => {
                compared(&self.column(*column), *op, &Term::Value(value.clone()), aim)
            }
            Predicate::CompareColumns { left, op, right } => {
                let right = Term::Variable(self.column(*right));
                compared(&self.column(*left), *op, &right, aim)
            }
            Predicate::In { column, values } => self.inside(*column, values, &[], aim),
            Predicate::Matches { .. } => self.opaque(Opaque::Predicate(predicate.clone()), aim),
            Predicate::IsNull { column } => {
                let column = self.column(*column);
                match aim {
                    Aim::True | Aim::NotFalse => Formula::is_null(column),
                    Aim::False | Aim::NotTrue => Formula::is_set(column),
                }
            }
            Predicate::Between { column, low, high } => {
                let column = self.column(*column);
                let bounds = [(Comparison::Gte, low), (Comparison::Lte, high)];
                let parts = bounds.map(|(op, bound)| compared(&column, op, &Term::Value(bound.clone()), aim));
                joined(parts.into_iter(), aim.is_of_all())
            }
            Predicate::Related {
                link,
                quantifier,
                within,
                predicate: inner,
            } => {
                if **within != Predicate::True || *quantifier == Quantifier::Every {
                    return self.opaque(Opaque::Predicate(predicate.clone()), aim);
                }
                let template = Template::Related {
                    link: *link,
                    quantifier: *quantifier,
                    inner: Box::new(Template::Fixed(inner.as_ref().clone())),
                };
                self.template(&template, aim)
            }
            Predicate::And(parts) => joined(
                parts.iter().map(|part| self.predicate(part, aim)),
                aim.is_of_all(),
            ),
            Predicate::Or(parts) => joined(
                parts.iter().map(|part| self.predicate(part, aim)),
                !aim.is_of_all(),
            ),
            Predicate::Not(inner) => self.predicate(inner, aim.of_negation()),
        }
    }

    /// A column has this value, which may be NULL.
    pub fn has_value(&self, column: ColumnId, value: &Value) -> Formula {
        let column = self.column(column);
        if *value == Value::Null {
            return Formula::is_null(column);
        }
        compared(&column, Comparison::Eq, &Term::Value(value.clone()), Aim::True)
    }

    /// A column has the caller's value.
    pub fn has_claim(&self, column: ColumnId, slot: SlotId) -> Formula {
        let template = Template::Compare {
            column,
            op: Comparison::Eq,
            slot,
        };
        self.template(&template, Aim::True)
    }

    /// A column has another value, or none.
    pub fn lacks_value(&self, column: ColumnId, value: &Value) -> Formula {
        let column = self.column(column);
        if *value == Value::Null {
            return Formula::is_set(column);
        }
        compared(&column, Comparison::Eq, &Term::Value(value.clone()), Aim::NotTrue)
    }

    /// A column has not the caller's value.
    pub fn lacks_claim(&self, column: ColumnId, slot: SlotId) -> Formula {
        let template = Template::Compare {
            column,
            op: Comparison::Eq,
            slot,
        };
        self.template(&template, Aim::NotTrue)
    }

    /// The caller lacks this claim.
    pub fn lacks(&self, slot: SlotId) -> Formula {
        match self.claim(slot) {
            Some(Variable::Claim(Claim::Roles, _)) | None => Formula::FALSE,
            Some(claim) => Formula::is_null(claim),
        }
    }

    /// The caller has this claim.
    pub fn has(&self, slot: SlotId) -> Formula {
        match self.claim(slot) {
            // Everybody has some.
            Some(Variable::Claim(Claim::Roles, _)) | None => Formula::TRUE,
            Some(claim) => Formula::is_set(claim),
        }
    }

    fn moment(&self) -> Moment {
        if self.changing.is_some() {
            Moment::Before
        } else {
            Moment::Now
        }
    }

    fn column(&self, column: ColumnId) -> Variable {
        match self.changing {
            Some(changing) if changing.contains(column) => Variable::Before(column),
            Some(_) | None => Variable::Column(column),
        }
    }

    fn is_list(&self, slot: SlotId) -> bool {
        self.slots.slot(slot).is_some_and(|slot| slot.is_list)
    }

    fn claim(&self, slot: SlotId) -> Option<Variable> {
        let Slot {
            claim,
            form,
            is_list: _,
        } = self.slots.slot(slot)?;
        let sort = match form {
            Form::Text => Sort::Text,
            Form::Int => Sort::Number,
            Form::Bool => Sort::Boolean,
            Form::Column(entity, column) => sort(self.schema.entity(*entity)?.column(*column)?.kind),
        };
        Some(Variable::Claim(claim.clone(), sort))
    }

    fn inside(&self, column: ColumnId, values: &[Value], slots: &[SlotId], aim: Aim) -> Formula {
        let variable = self.column(column);
        // As one part, so that a long list of values makes two cases of a row without one, not two of each value.
        let fixed = values.iter().map(|value| {
            let aim = if aim.is_of_all() { Aim::True } else { Aim::False };
            compared(&variable, Comparison::Eq, &Term::Value(value.clone()), aim)
        });
        let mut parts = vec![joined(fixed, !aim.is_of_all())];
        if aim.takes_unknown() && !values.is_empty() {
            let known = parts.pop().into_iter();
            parts = vec![Formula::Any(
                known.chain([Formula::is_null(variable.clone())]).collect(),
            )];
        }
        for slot in slots {
            parts.push(match self.claim(*slot) {
                Some(_) if self.is_list(*slot) => self.opaque(Opaque::Member(column, *slot), aim),
                Some(claim) => compared(&variable, Comparison::Eq, &Term::Variable(claim), aim),
                None => Formula::TRUE,
            });
        }
        joined(parts.into_iter(), !aim.is_of_all())
    }

    fn caller(&self, slot: SlotId, test: &Test, aim: Aim) -> Formula {
        let Some(claim) = self.claim(slot) else {
            return Formula::TRUE;
        };
        let equal = |value: &Value| match (&claim, value) {
            (Variable::Claim(Claim::Roles, _), Value::Text(role)) => {
                Formula::Is(Literal::HasRole(role.clone(), aim.is_of_all()))
            }
            _ if self.is_list(slot) => self.opaque(Opaque::Listed(slot, value.clone()), aim),
            _ => compared(&claim, Comparison::Eq, &Term::Value(value.clone()), aim),
        };
        match test {
            Test::Compare(op, value) => compared(&claim, *op, &Term::Value(value.clone()), aim),
            Test::In(values) => joined(values.iter().map(equal), !aim.is_of_all()),
        }
    }

    fn opaque(&self, what: Opaque, aim: Aim) -> Formula {
        let (aspect, holds) = match aim {
            Aim::True => (Aspect::True, true),
            Aim::False => (Aspect::False, true),
            Aim::NotTrue => (Aspect::True, false),
            Aim::NotFalse => (Aspect::False, false),
        };
        Formula::Is(Literal::Opaque {
            moment: self.moment(),
            what,
            aspect,
            holds,
        })
    }
}

/// `left op right`: unknown where a side has no value.
fn compared(left: &Variable, op: Comparison, right: &Term, aim: Aim) -> Formula {
    let op = if aim.is_of_all() { op } else { negated(op) };
    let known = Formula::Is(Literal::Compare(Term::Variable(left.clone()), op, right.clone()));
    if !aim.takes_unknown() {
        return known;
    }
    let mut ways = vec![known, Formula::is_null(left.clone())];
    if let Term::Variable(right) = right {
        ways.push(Formula::is_null(right.clone()));
    }
    Formula::Any(ways)
}

fn joined(parts: impl Iterator<Item = Formula>, is_all: bool) -> Formula {
    if is_all {
        Formula::All(parts.collect())
    } else {
        Formula::Any(parts.collect())
    }
}

fn sort(kind: ColumnType) -> Sort {
    match kind {
        ColumnType::Cuid | ColumnType::String | ColumnType::Text | ColumnType::Email | ColumnType::Enum => {
            Sort::Text
        }
        ColumnType::Uuid => Sort::Uuid,
        ColumnType::Integer => Sort::Integer,
        ColumnType::Bigint => Sort::Bigint,
        ColumnType::Float => Sort::Float,
        ColumnType::Decimal => Sort::Decimal,
        ColumnType::Boolean => Sort::Boolean,
        ColumnType::Date => Sort::Date,
        ColumnType::Datetime => Sort::Datetime,
        ColumnType::Json => Sort::Json,
        ColumnType::Bytes => Sort::Bytes,
    }
}
