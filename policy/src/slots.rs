//! Claims in the types of the columns that they meet: listed at load, converted once per subject.

use dbal_schema::Schema;
use dbal_schema::json_text::push_plain;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::json::Json;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;

use crate::claims::Claims;
use crate::expression::Claim;
use crate::roles::{RoleSet, Roles};

/// Index of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(usize);

impl SlotId {
    /// Whether the slot has a value, by [`Filled::presence`].
    pub(crate) fn is_in(self, presence: &[bool]) -> bool {
        presence.get(self.0).copied().unwrap_or(false)
    }
}

/// A claim and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The claim.
    pub claim: Claim,
    /// The type in which it is wanted.
    pub form: Form,
    /// Whether it has any number of values, not one.
    pub is_list: bool,
}

/// The type that a claim must be convertible to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// That of a column.
    Column(EntityId, ColumnId),
    /// Text, as it stands.
    Text,
    /// A whole number.
    Int,
    /// True or false.
    Bool,
}

/// All slots of a policy.
#[derive(Clone, Debug, Default)]
pub struct Slots(Vec<Slot>);

impl Slots {
    /// The slot's index; the same for equal slots.
    pub fn index(&mut self, slot: Slot) -> SlotId {
        let known = self.0.iter().position(|other| *other == slot);
        SlotId(known.unwrap_or_else(|| {
            self.0.push(slot);
            self.0.len().saturating_sub(1)
        }))
    }

    /// The slot with this index.
    pub fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.0.get(id.0)
    }

    /// The caller's values.
    pub fn fill(
        &self,
        schema: &Schema,
        claims: &Claims,
        roles: &Roles,
        held: &RoleSet,
        principal: &Principal,
    ) -> Filled {
        let value = |slot: &Slot| {
            let raw = raw(&slot.claim, claims, roles, held, principal)?;
            let values: Vec<Value> = raw
                .iter()
                .filter_map(|raw| {
                    let value = converted(raw, slot.form, schema)?;
                    is_meant(&slot.claim, &value, raw).then_some(value)
                })
                .collect();
            // A list loses what can't be equal to any value of the column; a single value that is lost is absent.
            (slot.is_list || !values.is_empty()).then_some(values)
        };
        Filled(self.0.iter().map(value).collect())
    }
}

/// What one caller has in each slot; nothing where the claim is absent or can't be converted.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled(Box<[Option<Vec<Value>>]>);

impl Filled {
    /// All values; exactly one unless the claim is a list.
    pub fn all(&self, slot: SlotId) -> Option<&[Value]> {
        self.0.get(slot.0).and_then(Option::as_deref)
    }

    /// The only value.
    pub fn one(&self, slot: SlotId) -> Option<&Value> {
        match self.all(slot)? {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether it is a value of any of the claims that rules ask for.
    pub(crate) fn holds(&self, value: &Value) -> bool {
        self.0.iter().flatten().flatten().any(|own| own == value)
    }

    /// Which slots have a value.
    pub(crate) fn presence(&self) -> Box<[bool]> {
        self.0.iter().map(Option::is_some).collect()
    }
}

/// The claim as JSON, so that one code path turns clients' values and claims into typed ones.
fn raw(
    claim: &Claim,
    claims: &Claims,
    roles: &Roles,
    held: &RoleSet,
    principal: &Principal,
) -> Option<Vec<Json>> {
    match claim {
        Claim::Role => held
            .highest(roles)
            .map(|(name, _)| vec![Json::Text(name.to_owned())]),
        Claim::Level => held
            .highest(roles)
            .map(|(_, level)| vec![Json::Int(i64::from(level))]),
        Claim::Roles => Some(
            held.names(roles)
                .map(|name| Json::Text(name.to_owned()))
                .collect(),
        ),
        Claim::Id | Claim::Tenant | Claim::Named(_) => claims.values(claim, principal),
    }
}

fn converted(raw: &Json, form: Form, schema: &Schema) -> Option<Value> {
    match (form, raw) {
        (Form::Column(entity, column), raw) => {
            schema.entity(entity)?.column(column)?.operand_from_json(raw).ok()
        }
        (Form::Text, Json::Text(text)) => Some(Value::Text(text.clone())),
        (Form::Int, Json::Int(value)) => Some(Value::Int(*value)),
        (Form::Int, Json::Text(text)) => text.parse().ok().map(Value::Int),
        (Form::Bool, Json::Bool(value)) => Some(Value::Bool(*value)),
        (Form::Text | Form::Int | Form::Bool, _) => None,
    }
}

/// Whether the claim is spelled as the value is written. Several spellings of one value, such as `7`, `007` and `7.0`, are different
/// names to whoever issues tokens, and must not be one owner, team or region here.
fn is_meant(claim: &Claim, value: &Value, raw: &Json) -> bool {
    match (value, raw) {
        // A moment is nobody's name, and issuers write it with or without a fraction, here or there.
        (Value::Timestamp(_), Json::Text(_)) if !names_someone(claim) => true,
        (Value::Text(text), Json::Text(raw)) => text == raw,
        (value, Json::Text(raw)) => {
            let mut written = String::new();
            push_plain(value, &mut written);
            let written = written.trim_matches('"');
            let is_uuid = matches!(value, Value::Uuid(_));
            written == raw || (is_uuid && written.eq_ignore_ascii_case(raw))
        }
        // Beyond 2^53 several whole numbers are one float.
        (Value::Float(float), Json::Int(raw)) => float.to_string() == raw.to_string(),
        (
            _,
            Json::Null
            | Json::Bool(_)
            | Json::Int(_)
            | Json::Unsigned(_)
            | Json::Float(_)
            | Json::List(_)
            | Json::Object(_),
        ) => true,
    }
}

/// Whether the claim says who somebody is, or whose.
fn names_someone(claim: &Claim) -> bool {
    matches!(claim, Claim::Id | Claim::Tenant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelled_otherwise_or_is_rounded_is_another_value() {
        let text = |text: &str| Json::Text(text.to_owned());
        let team = Claim::Named("team".to_owned());
        let (exact, rounded) = (9_007_199_254_740_992, 9_007_199_254_740_993);
        for (value, raw, is_the_same) in [
            (Value::Int(7), text("7"), true),
            (Value::Int(7), text("007"), false),
            (Value::Int(rounded), text("9007199254740993"), true),
            (Value::Decimal("7.5".to_owned()), text("7.50"), false),
            (Value::Float(9_007_199_254_740_992.0), Json::Int(exact), true),
            (Value::Float(9_007_199_254_740_992.0), Json::Int(rounded), false),
            (Value::Float(-7.0), Json::Int(-7), true),
            (Value::Bytes(b"a".to_vec()), text("YQ=="), true),
            (Value::Bytes(b"a".to_vec()), text("YQ"), false),
            (Value::Bool(true), Json::Bool(true), true),
        ] {
            assert_eq!(is_meant(&team, &value, &raw), is_the_same, "{value:?} {raw:?}");
        }
        let noon = Value::Timestamp(1_705_320_000_000);
        for (claim, is_the_same) in [(team, true), (Claim::Id, false), (Claim::Tenant, false)] {
            assert_eq!(
                is_meant(&claim, &noon, &text("2024-01-15T13:00:00+01:00")),
                is_the_same
            );
            assert!(is_meant(&claim, &noon, &text("2024-01-15T12:00:00.000Z")));
        }
    }
}
