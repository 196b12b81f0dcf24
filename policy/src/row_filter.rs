//! Turns a `rows:` or `check:` expression into a template. Fails at load, so never while a request waits.

mod caller;
mod linked;

use dbal_schema::suggestion;
use dbal_schema::{Column, ColumnType, Entity, Schema};
use dbal_shared::json::Json;
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::value::Value;

use crate::claims::{self, ClaimType, Claims};
use crate::expression::{self, Claim, Expression, Mistake, Operand, OperandKind};
use crate::operators;
use crate::slots::{Form, Slot, SlotId, Slots};
use crate::template::{Template, Test};

/// Compiles `text` for the rows of `entity`.
pub(crate) fn compile(
    text: &str,
    entity: &Entity,
    schema: &Schema,
    claims: &Claims,
    slots: &mut Slots,
) -> Result<Template, Mistake> {
    let tree = expression::parse(text)?;
    Compiler {
        schema,
        claims,
        slots,
        entity,
        reach: Reach::Own,
    }
    .expression(&tree, false)
}

/// Whose rows are spoken of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Those of the rule's entity.
    Own,
    /// Those linked to them. No further: each step would be a join that the rule's author can't see.
    Linked,
}

struct Compiler<'a> {
    schema: &'a Schema,
    claims: &'a Claims,
    slots: &'a mut Slots,
    entity: &'a Entity,
    reach: Reach,
}

impl<'a> Compiler<'a> {
    /// `is_negated` carries NOT down to the leaves, by De Morgan's laws: they hold in three-valued logic too.
    fn expression(&mut self, tree: &Expression, is_negated: bool) -> Result<Template, Mistake> {
        match tree {
            Expression::All(parts) => Ok(joined(self.each(parts, is_negated)?, !is_negated)),
            Expression::Any(parts) => Ok(joined(self.each(parts, is_negated)?, is_negated)),
            Expression::Not(inner) => self.expression(inner, !is_negated),
            Expression::Constant(value) => Ok(Template::Fixed(constant(*value != is_negated))),
            Expression::Compare { left, op, right } => {
                let op = if is_negated { operators::negated(*op) } else { *op };
                self.compare(left, op, right)
            }
            Expression::In { left, list } => self.inside(left, list, is_negated),
            Expression::InSelect { left, select } => self.inside_select(left, select, is_negated),
            Expression::IsNull(operand) => self.is_null(operand, is_negated),
        }
    }

    fn each(&mut self, parts: &[Expression], is_negated: bool) -> Result<Vec<Template>, Mistake> {
        parts
            .iter()
            .map(|part| self.expression(part, is_negated))
            .collect()
    }

    fn compare(&mut self, left: &Operand, op: Comparison, right: &Operand) -> Result<Template, Mistake> {
        match (&left.kind, &right.kind) {
            (OperandKind::Related { relation, field }, _) => self.related(left.at, relation, |linked| {
                linked.compare_field(left.at, field, op, right)
            }),
            (_, OperandKind::Related { relation, field }) => self.related(right.at, relation, |linked| {
                linked.compare_field(right.at, field, operators::mirrored(op), left)
            }),
            (OperandKind::Field(field), _) => self.compare_field(left.at, field, op, right),
            (_, OperandKind::Field(field)) => {
                self.compare_field(right.at, field, operators::mirrored(op), left)
            }
            (OperandKind::Caller(claim), _) => self.ask_caller(left.at, claim, op, right),
            (_, OperandKind::Caller(claim)) => {
                self.ask_caller(right.at, claim, operators::mirrored(op), left)
            }
            (
                OperandKind::Text(_) | OperandKind::Int(_) | OperandKind::Bool(_) | OperandKind::Null,
                OperandKind::Text(_) | OperandKind::Int(_) | OperandKind::Bool(_) | OperandKind::Null,
            ) => Err(Mistake::new(left.at, "both sides are fixed values")),
        }
    }

    fn compare_field(
        &mut self,
        at: usize,
        field: &str,
        op: Comparison,
        other: &Operand,
    ) -> Result<Template, Mistake> {
        let column = self.column(at, field)?;
        if !operators::compares(column.kind, op) {
            return Err(Mistake::new(
                at,
                format!("`{field}` can't be compared so: {}", kind_name(column)),
            ));
        }
        match &other.kind {
            OperandKind::Field(name) if self.reach == Reach::Own => {
                let right = self.column(other.at, name)?;
                if !column.kind.is_like(right.kind) {
                    let text = format!("`{field}` and `{name}` have different types");
                    return Err(Mistake::new(other.at, text));
                }
                Ok(Template::Fixed(Predicate::CompareColumns {
                    left: column.id,
                    op,
                    right: right.id,
                }))
            }
            OperandKind::Field(_) | OperandKind::Related { .. } => Err(Mistake::new(
                other.at,
                "a linked field is compared with a value or $user.<claim> only",
            )),
            OperandKind::Caller(claim) if self.claims.is_list(claim) => {
                Err(Mistake::new(other.at, format!("{claim} is a list: use IN")))
            }
            OperandKind::Caller(claim) => {
                let slot = self.slot(other.at, claim, column)?;
                Ok(Template::Compare {
                    column: column.id,
                    op,
                    slot,
                })
            }
            OperandKind::Text(_) | OperandKind::Int(_) | OperandKind::Bool(_) | OperandKind::Null => {
                let value = literal(column, other)?;
                Ok(Template::Fixed(Predicate::Compare {
                    column: column.id,
                    op,
                    value,
                }))
            }
        }
    }

    fn inside(&mut self, left: &Operand, list: &[Operand], is_negated: bool) -> Result<Template, Mistake> {
        match &left.kind {
            OperandKind::Field(field) => self.field_inside(left.at, field, list, is_negated),
            OperandKind::Related { relation, field } => self.related(left.at, relation, |linked| {
                linked.field_inside(left.at, field, list, is_negated)
            }),
            OperandKind::Caller(claim) => self.caller_inside(left.at, claim, list, is_negated),
            OperandKind::Text(_) | OperandKind::Int(_) | OperandKind::Bool(_) | OperandKind::Null => {
                let [
                    Operand {
                        at,
                        kind: OperandKind::Caller(claim),
                    },
                ] = list
                else {
                    return Err(Mistake::new(
                        left.at,
                        "a fixed value can only be sought IN $user.roles, or another claim that is a list",
                    ));
                };
                if !self.claims.is_list(claim) {
                    self.kind(*at, claim)?;
                    return Err(Mistake::new(
                        *at,
                        format!("{claim} is no list: `claims` must declare it as one"),
                    ));
                }
                let (form, value) = self.plain(claim, left)?;
                if form != Form::Text {
                    return Err(Mistake::new(left.at, format!("{claim} holds texts")));
                }
                let slot = self.slots.index(Slot {
                    claim: claim.clone(),
                    form,
                    is_list: true,
                });
                Ok(Template::Caller {
                    slot,
                    test: Test::In(vec![value]),
                    is_negated,
                })
            }
        }
    }

    fn field_inside(
        &mut self,
        at: usize,
        field: &str,
        list: &[Operand],
        is_negated: bool,
    ) -> Result<Template, Mistake> {
        let column = self.column(at, field)?;
        if !column.kind.is_comparable() {
            return Err(Mistake::new(
                at,
                format!("`{field}` can't be compared: {}", kind_name(column)),
            ));
        }
        let mut values = Vec::new();
        let mut slots = Vec::new();
        for item in list {
            match &item.kind {
                OperandKind::Caller(Claim::Roles) if !column.kind.is_text() => {
                    return Err(Mistake::new(item.at, "roles are texts"));
                }
                OperandKind::Caller(claim) => slots.push(self.slot(item.at, claim, column)?),
                OperandKind::Field(_) | OperandKind::Related { .. } => {
                    return Err(Mistake::new(item.at, "a list holds values, not fields; use OR"));
                }
                OperandKind::Text(_) | OperandKind::Int(_) | OperandKind::Bool(_) | OperandKind::Null => {
                    values.push(literal(column, item)?);
                }
            }
        }
        Ok(Template::In {
            column: column.id,
            values,
            slots,
            is_negated,
        })
    }

    fn is_null(&mut self, operand: &Operand, is_negated: bool) -> Result<Template, Mistake> {
        match &operand.kind {
            OperandKind::Field(field) => {
                let is_null = Predicate::IsNull {
                    column: self.column(operand.at, field)?.id,
                };
                let negated = |inner| Predicate::Not(Box::new(inner));
                Ok(Template::Fixed(if is_negated {
                    negated(is_null)
                } else {
                    is_null
                }))
            }
            OperandKind::Related { relation, field } => self.related(operand.at, relation, |linked| {
                let field = Operand {
                    at: operand.at,
                    kind: OperandKind::Field(field.clone()),
                };
                linked.is_null(&field, is_negated)
            }),
            OperandKind::Caller(_) => Err(Mistake::new(
                operand.at,
                "a rule that asks for a claim never applies to callers without it, so this is never true",
            )),
            OperandKind::Text(_) | OperandKind::Int(_) | OperandKind::Bool(_) | OperandKind::Null => {
                Err(Mistake::new(operand.at, "a fixed value is never NULL"))
            }
        }
    }

    fn column(&self, at: usize, name: &str) -> Result<&'a Column, Mistake> {
        self.entity.column_by_name(name).ok_or_else(|| {
            let names = self.entity.columns.iter().map(|column| column.name.as_str());
            let hint = suggestion::hint(name, names);
            Mistake::new(at, format!("`{}` has no field `{name}`{hint}", self.entity.name))
        })
    }

    /// The claim in the type of the column beside which it stands, if it can be that.
    fn slot(&mut self, at: usize, claim: &Claim, column: &Column) -> Result<SlotId, Mistake> {
        if let Some(misfit) = self
            .kind(at, claim)?
            .and_then(|kind| claims::misfit(kind, column))
        {
            return Err(Mistake::new(at, misfit));
        }
        let form = Form::Column(self.entity.id, column.id);
        Ok(self.slots.index(Slot {
            claim: claim.clone(),
            form,
            is_list: self.claims.is_list(claim),
        }))
    }

    /// The claim's declared type, if the policy declares claims.
    fn kind(&self, at: usize, claim: &Claim) -> Result<Option<ClaimType>, Mistake> {
        self.claims.kind(claim).map_err(|text| Mistake::new(at, text))
    }
}

/// AND or OR of templates; parts without holes are joined right away.
fn joined(parts: Vec<Template>, is_and: bool) -> Template {
    let (fixed, open): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| matches!(part, Template::Fixed(_)));
    let predicates = fixed.into_iter().filter_map(|part| match part {
        Template::Fixed(predicate) => Some(predicate),
        Template::Compare { .. }
        | Template::In { .. }
        | Template::Caller { .. }
        | Template::Related { .. }
        | Template::All(_)
        | Template::Any(_) => None,
    });
    let start = constant(is_and);
    let known = predicates.fold(start, if is_and { Predicate::and } else { Predicate::or });
    if open.is_empty() {
        return Template::Fixed(known);
    }
    let several = std::iter::once(Template::Fixed(known)).chain(open).collect();
    if is_and {
        Template::All(several)
    } else {
        Template::Any(several)
    }
}

fn constant(value: bool) -> Predicate {
    if value { Predicate::True } else { Predicate::False }
}

/// A literal in a column's type.
fn literal(column: &Column, operand: &Operand) -> Result<Value, Mistake> {
    let json = match &operand.kind {
        OperandKind::Text(text) => Json::Text(text.clone()),
        OperandKind::Int(value) => Json::Int(*value),
        OperandKind::Bool(value) => Json::Bool(*value),
        OperandKind::Null => return Err(Mistake::new(operand.at, "nothing equals NULL: write IS NULL")),
        OperandKind::Field(_) | OperandKind::Related { .. } | OperandKind::Caller(_) => {
            return Err(Mistake::new(operand.at, "a fixed value should stand here"));
        }
    };
    // A value that an enum doesn't have is a spelling mistake, and a rule that never applies.
    let value = if column.kind == ColumnType::Enum {
        column.value_from_json(&json)
    } else {
        column.operand_from_json(&json)
    };
    value.map_err(|fault| Mistake::new(operand.at, format!("`{}` {fault}", column.name)))
}

fn kind_name(column: &Column) -> String {
    format!("its type is {}", format!("{:?}", column.kind).to_lowercase())
}
