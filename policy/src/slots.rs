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
                    (!names_someone(&slot.claim) || is_spelled(&value, raw)).then_some(value)
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

/// Whether the claim says who somebody is, or whose.
fn names_someone(claim: &Claim) -> bool {
    matches!(claim, Claim::Id | Claim::Tenant)
}

/// Whether the claim is spelled as the value is written. Several spellings of one value, such as `7`, `007` and `7.0`, are different
/// names to whoever issues tokens, and must not be one owner here.
fn is_spelled(value: &Value, raw: &Json) -> bool {
    let Json::Text(raw) = raw else { return true };
    if let Value::Text(text) = value {
        return text == raw;
    }
    let mut written = String::new();
    push_plain(value, &mut written);
    let written = written.trim_matches('"');
    let is_uuid = matches!(value, Value::Uuid(_));
    written == raw || (is_uuid && written.eq_ignore_ascii_case(raw))
}
