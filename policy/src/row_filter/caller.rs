//! Conditions on the caller alone: decided when the caller is known, before any row.

use dbal_shared::predicate::Comparison;
use dbal_shared::value::Value;

use super::Compiler;
use crate::claims::{self, Scalar};
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
        if self.claims.is_list(claim) {
            return Err(Mistake::new(
                at,
                format!("{claim} is a list: write 'value' IN {claim}"),
            ));
        }
        self.kind(at, claim)?;
        let (form, value) = self.plain(claim, other)?;
        if form != Form::Int && !matches!(op, Comparison::Eq | Comparison::Ne) {
            return Err(Mistake::new(
                other.at,
                "only whole numbers are less or greater here",
            ));
        }
        let slot = self.slots.index(Slot {
            claim: claim.clone(),
            form,
            is_list: self.claims.is_list(claim),
        });
        Ok(Template::Caller {
            slot,
            test: Test::Compare(op, value),
            is_negated: false,
        })
    }

    pub(super) fn caller_inside(
        &mut self,
        at: usize,
        claim: &Claim,
        list: &[Operand],
        is_negated: bool,
    ) -> Result<Template, Mistake> {
        self.kind(at, claim)?;
        let plains = list
            .iter()
            .map(|item| self.plain(claim, item))
            .collect::<Result<Vec<_>, _>>()?;
        let form = plains.first().map_or(Form::Text, |(form, _)| *form);
        if let Some((odd, _)) = list.iter().zip(&plains).find(|(_, (other, _))| *other != form) {
            return Err(Mistake::new(odd.at, "the values of a list have one type"));
        }
        let values = plains.into_iter().map(|(_, value)| value).collect();
        let slot = self.slots.index(Slot {
            claim: claim.clone(),
            form,
            is_list: self.claims.is_list(claim),
        });
        Ok(Template::Caller {
            slot,
            test: Test::In(values),
            is_negated,
        })
    }
}

impl Compiler<'_> {
    /// A literal that is compared with a claim, in the type that the claim is declared to have.
    pub(super) fn plain(&self, claim: &Claim, operand: &Operand) -> Result<(Form, Value), Mistake> {
        let (form, value) = plain(operand)?;
        let Some(kind) = self.kind(operand.at, claim)? else {
            return Ok((form, value));
        };
        match (kind.scalar(), value) {
            (Scalar::Text, value @ Value::Text(_))
            | (Scalar::Integer, value @ Value::Int(_))
            | (Scalar::Boolean, value @ Value::Bool(_)) => Ok((form, value)),
            (Scalar::Uuid, Value::Text(text)) => match claims::uuid(&text) {
                Some(text) => Ok((form, Value::Text(text))),
                None => Err(Mistake::new(
                    operand.at,
                    format!("{claim} holds UUIDs, and this is none"),
                )),
            },
            (Scalar::Text | Scalar::Integer | Scalar::Boolean | Scalar::Uuid, _) => Err(Mistake::new(
                operand.at,
                format!("{claim} is declared as `{kind}`, and this is something else"),
            )),
        }
    }
}

/// A literal as it stands.
fn plain(operand: &Operand) -> Result<(Form, Value), Mistake> {
    match &operand.kind {
        OperandKind::Text(text) => Ok((Form::Text, Value::Text(text.clone()))),
        OperandKind::Int(value) => Ok((Form::Int, Value::Int(*value))),
        OperandKind::Bool(value) => Ok((Form::Bool, Value::Bool(*value))),
        OperandKind::Null | OperandKind::Field(_) | OperandKind::Related { .. } | OperandKind::Caller(_) => {
            Err(Mistake::new(operand.at, "a text or number should stand here"))
        }
    }
}
