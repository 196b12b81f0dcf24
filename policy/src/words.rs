//! A condition in words, with the caller's own claims put in: all of it for operators, and for a caller no more than he may know.

use dbal_schema::json_text::push_plain;
use dbal_schema::{Column, ColumnType, Entity, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::Operation;
use dbal_shared::predicate::{Case, Comparison, Link, Predicate, Quantifier, TextPosition};
use dbal_shared::value::Value;

use crate::policy::Policy;
use crate::subject::Subject;

/// Longest text, in bytes: a rule may list thousands of values, and words are for people.
const WORDS_BYTES: usize = 2_048;
/// Values of a list that are told; the others are counted.
const LISTED: usize = 5;
/// What is said in the place of what the caller may not know.
pub const UNSAID: &str = "further conditions apply";

/// In words for an operator: nothing is left out.
pub(crate) fn for_operator(policy: &Policy, entity: EntityId, condition: &Predicate) -> String {
    Speaker {
        schema: &policy.schema,
        hearer: Hearer::Operator,
    }
    .sentence(entity, condition)
}

/// In words for the caller whom it binds. Only fields that `operation` lets him read, values that are his own claims, and
/// the values of enums and booleans, which errors tell anyway.
pub(crate) fn for_caller(
    policy: &Policy,
    subject: &Subject,
    operation: Operation,
    entity: EntityId,
    condition: &Predicate,
) -> String {
    Speaker {
        schema: &policy.schema,
        hearer: Hearer::Caller {
            policy,
            subject,
            operation,
        },
    }
    .sentence(entity, condition)
}

struct Speaker<'a> {
    schema: &'a Schema,
    hearer: Hearer<'a>,
}

/// Who is spoken to.
#[derive(Clone, Copy)]
enum Hearer<'a> {
    Operator,
    Caller {
        policy: &'a Policy,
        subject: &'a Subject,
        /// Of the entity that the condition is about; linked ones are listed.
        operation: Operation,
    },
}

/// How strongly the parts of a text hold together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bond {
    Tight,
    Loose,
}

struct Phrase {
    text: String,
    bond: Bond,
}

impl Phrase {
    fn tight(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            bond: Bond::Tight,
        }
    }

    fn unsaid() -> Self {
        Self::tight(UNSAID)
    }

    fn is_unsaid(&self) -> bool {
        self.text == UNSAID
    }

    /// As a part of something else.
    fn within(self) -> String {
        match self.bond {
            Bond::Tight => self.text,
            Bond::Loose => format!("({})", self.text),
        }
    }
}

impl Speaker<'_> {
    fn sentence(&self, entity: EntityId, condition: &Predicate) -> String {
        let Some(entity) = self.schema.entity(entity) else {
            return UNSAID.to_owned();
        };
        if *condition == Predicate::True {
            return "every row".to_owned();
        }
        if *condition == Predicate::False {
            return "no row".to_owned();
        }
        let text = self.phrase(entity, condition, true).text;
        if text.len() <= WORDS_BYTES {
            return text;
        }
        let end = text.floor_char_boundary(WORDS_BYTES);
        format!("{} …", text.get(..end).unwrap_or_default())
    }

    /// `is_own`: the condition is about the entity that was asked for, not about a linked one.
    fn phrase(&self, entity: &Entity, condition: &Predicate, is_own: bool) -> Phrase {
        let column = |id| self.column(entity, id, is_own);
        match condition {
            Predicate::True => Phrase::tight("true"),
            Predicate::False => Phrase::tight("false"),
            Predicate::Compare {
                column: id,
                op,
                value,
            } => match (column(*id), self.value(entity, *id, value)) {
                (Some(name), Some(value)) => Phrase::tight(format!("{name} {} {value}", compared(*op))),
                _ => Phrase::unsaid(),
            },
            Predicate::CompareColumns { left, op, right } => match (column(*left), column(*right)) {
                (Some(left), Some(right)) => Phrase::tight(format!("{left} {} {right}", compared(*op))),
                _ => Phrase::unsaid(),
            },
            Predicate::In { column: id, values } => {
                let listed: Option<Vec<String>> = values
                    .iter()
                    .map(|value| self.value(entity, *id, value))
                    .collect();
                match (column(*id), listed) {
                    (Some(name), Some(listed)) => Phrase::tight(format!("{name} is {}", one_of(&listed))),
                    _ => Phrase::unsaid(),
                }
            }
            Predicate::Matches {
                column: id,
                position,
                text,
                case,
            } => match (column(*id), self.value(entity, *id, &Value::Text(text.clone()))) {
                (Some(name), Some(text)) => {
                    let ignoring = match case {
                        Case::Sensitive => "",
                        Case::Insensitive => " in any case",
                    };
                    Phrase::tight(format!("{name} {} {text}{ignoring}", placed(*position)))
                }
                _ => Phrase::unsaid(),
            },
            Predicate::IsNull { column: id } => match column(*id) {
                Some(name) => Phrase::tight(format!("{name} is null")),
                None => Phrase::unsaid(),
            },
            Predicate::Between {
                column: id,
                low,
                high,
            } => {
                let ends = self.value(entity, *id, low).zip(self.value(entity, *id, high));
                match (column(*id), ends) {
                    (Some(name), Some((low, high))) => {
                        Phrase::tight(format!("{name} is between {low} and {high}"))
                    }
                    _ => Phrase::unsaid(),
                }
            }
            Predicate::Related {
                link,
                quantifier,
                within,
                predicate,
            } => self.linked(entity, *link, *quantifier, within, predicate, is_own),
            Predicate::And(parts) => self.joined(entity, parts, " and ", is_own),
            Predicate::Or(parts) => self.joined(entity, parts, " or ", is_own),
            Predicate::Not(inner) => {
                let inner = self.phrase(entity, inner, is_own);
                if inner.is_unsaid() {
                    inner
                } else {
                    Phrase::tight(format!("not ({})", inner.text))
                }
            }
        }
    }

    /// What is unsaid is said once, whatever the number of its parts.
    fn joined(&self, entity: &Entity, parts: &[Predicate], by: &str, is_own: bool) -> Phrase {
        let mut said: Vec<String> = Vec::new();
        let mut is_any_unsaid = false;
        for part in parts {
            let phrase = self.phrase(entity, part, is_own);
            if phrase.is_unsaid() {
                is_any_unsaid = true;
            } else {
                said.push(phrase.within());
            }
        }
        if said.is_empty() && is_any_unsaid {
            return Phrase::unsaid();
        }
        if is_any_unsaid {
            said.push(UNSAID.to_owned());
        }
        Phrase {
            bond: if said.len() > 1 { Bond::Loose } else { Bond::Tight },
            text: said.join(by),
        }
    }

    fn linked(
        &self,
        entity: &Entity,
        link: Link,
        quantifier: Quantifier,
        within: &Predicate,
        predicate: &Predicate,
        is_own: bool,
    ) -> Phrase {
        let known = self.schema.entity(link.entity).filter(|linked| {
            self.column(entity, link.column, is_own).is_some()
                && self.column(linked, link.foreign, false).is_some()
        });
        let Some(linked) = known else {
            return Phrase::unsaid();
        };
        let condition = self.phrase(linked, predicate, false);
        if condition.is_unsaid() {
            return condition;
        }
        let name = match entity.relation(link) {
            Some(relation) => relation.name.clone(),
            None => format!("linked {}", linked.name),
        };
        let among = if *within == Predicate::True {
            String::new()
        } else {
            format!(
                " among those where {}",
                self.phrase(linked, within, false).within()
            )
        };
        let how_many = match quantifier {
            Quantifier::Some => "some",
            Quantifier::Every => "every",
            Quantifier::None => "no",
        };
        Phrase::tight(format!("{how_many} {name}{among} has ({})", condition.text))
    }

    /// The column's name, if the hearer may know it.
    fn column<'e>(&self, entity: &'e Entity, column: ColumnId, is_own: bool) -> Option<&'e str> {
        let found = entity.column(column)?;
        let is_known = match self.hearer {
            Hearer::Operator => true,
            Hearer::Caller {
                policy,
                subject,
                operation,
            } => {
                let operation = if is_own { operation } else { Operation::List };
                policy
                    .vocabulary(subject, entity.id, operation)
                    .is_some_and(|vocabulary| vocabulary.readable.contains(column))
            }
        };
        is_known.then_some(found.name.as_str())
    }

    /// The value, if the hearer may know it.
    fn value(&self, entity: &Entity, column: ColumnId, value: &Value) -> Option<String> {
        let column = entity.column(column)?;
        let is_known = match self.hearer {
            Hearer::Operator => true,
            Hearer::Caller { subject, .. } => has_few_values(column) || subject.filled.holds(value),
        };
        is_known.then(|| shown(value))
    }
}

/// Whether anybody who may know the column may know all its values.
fn has_few_values(column: &Column) -> bool {
    match column.kind {
        ColumnType::Enum | ColumnType::Boolean => true,
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Integer
        | ColumnType::Bigint
        | ColumnType::Float
        | ColumnType::Decimal
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json
        | ColumnType::Bytes => false,
    }
}

/// As JSON has it, in single quotes: the text will often stand within JSON itself.
fn shown(value: &Value) -> String {
    let mut json = String::new();
    push_plain(value, &mut json);
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) => format!("'{text}'"),
        None => json,
    }
}

fn one_of(values: &[String]) -> String {
    match values {
        [] => "one of nothing".to_owned(),
        [only] => only.clone(),
        [..] => {
            let told: Vec<&str> = values.iter().take(LISTED).map(String::as_str).collect();
            let more = values.len().saturating_sub(told.len());
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("one of {}{more}", told.join(", "))
        }
    }
}

fn compared(op: Comparison) -> &'static str {
    match op {
        Comparison::Eq => "is",
        Comparison::Ne => "is not",
        Comparison::Lt => "is less than",
        Comparison::Lte => "is at most",
        Comparison::Gt => "is greater than",
        Comparison::Gte => "is at least",
    }
}

fn placed(position: TextPosition) -> &'static str {
    match position {
        TextPosition::Contains => "contains",
        TextPosition::StartsWith => "starts with",
        TextPosition::EndsWith => "ends with",
        TextPosition::Whole => "is",
    }
}
