//! Conditions on the caller alone: decided when the caller is known, before any row.

use dbal_shared::predicate::Comparison;
use dbal_shared::value::Value;

use super::Compiler;
use crate::expression::{Claim, Mistake, Operand, OperandKind};
use crate::slots::{Form, Slot};
use crate::template::{Template, Test};

impl Compiler<'_> {
    /// `$user.level >= 3`: decided when the caller is known.
    pub(super) fn ask_caller(
        &mut self,
        at: usize,
        claim: &Claim,
        op: Comparison,
        other: &Operand,
    ) -> Result<Template, Mistake> {
        if *claim == Claim::Roles {
            return Err(Mistake::new(
                at,
                "$user.roles is a list: write 'role' IN $user.roles",
            ));
        }
        let (form, value) = plain(other)?;
        if form != Form::Int && !matches!(op, Comparison::Eq | Comparison::Ne) {
            return Err(Mistake::new(
                other.at,
                "only whole numbers are less or greater here",
            ));
        }
        let slot = self.slots.index(Slot {
            claim: claim.clone(),
            form,
        });
        Ok(Template::Caller {
            slot,
            test: Test::Compare(op, value),
            is_negated: false,
        })
    }

    pub(super) fn caller_inside(
        &mut self,
        claim: &Claim,
        list: &[Operand],
        is_negated: bool,
    ) -> Result<Template, Mistake> {
        let plains = list.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        let form = plains.first().map_or(Form::Text, |(form, _)| *form);
        if let Some((odd, _)) = list.iter().zip(&plains).find(|(_, (other, _))| *other != form) {
            return Err(Mistake::new(odd.at, "the values of a list have one type"));
        }
        let values = plains.into_iter().map(|(_, value)| value).collect();
        let slot = self.slots.index(Slot {
            claim: claim.clone(),
            form,
        });
        Ok(Template::Caller {
            slot,
            test: Test::In(values),
            is_negated,
        })
    }
}

/// A literal as it stands.
pub(super) fn plain(operand: &Operand) -> Result<(Form, Value), Mistake> {
    match &operand.kind {
        OperandKind::Text(text) => Ok((Form::Text, Value::Text(text.clone()))),
        OperandKind::Int(value) => Ok((Form::Int, Value::Int(*value))),
        OperandKind::Bool(value) => Ok((Form::Bool, Value::Bool(*value))),
        OperandKind::Null | OperandKind::Field(_) | OperandKind::Related { .. } | OperandKind::Caller(_) => {
            Err(Mistake::new(operand.at, "a text or number should stand here"))
        }
    }
}
