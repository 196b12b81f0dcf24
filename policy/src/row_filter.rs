//! Turns a `rows:` or `check:` expression into a template. Fails at load, so never while a request waits.

use dbal_schema::suggestion;
use dbal_schema::{Column, ColumnType, Entity, Schema};
use dbal_shared::json::Json;
use dbal_shared::predicate::{Comparison, Link, Predicate, Quantifier};
use dbal_shared::value::Value;

use crate::expression::{self, Claim, Expression, Mistake, Name, Operand, OperandKind, Select};
use crate::operators;
use crate::slots::{Form, Slot, SlotId, Slots};
use crate::template::{Template, Test};

/// Compiles `text` for the rows of `entity`.
pub(crate) fn compile(
    text: &str,
    entity: &Entity,
    schema: &Schema,
    slots: &mut Slots,
) -> Result<Template, Mistake> {
    let tree = expression::parse(text)?;
    Compiler {
        schema,
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
                if !operators::is_like(column.kind, right.kind) {
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
            OperandKind::Caller(Claim::Roles) => Err(Mistake::new(other.at, "$user.roles is a list: use IN")),
            OperandKind::Caller(claim) => {
                let slot = self.slot(claim, column);
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

    /// `$user.level >= 3`: decided when the caller is known.
    fn ask_caller(
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

    fn inside(&mut self, left: &Operand, list: &[Operand], is_negated: bool) -> Result<Template, Mistake> {
        match &left.kind {
            OperandKind::Field(field) => self.field_inside(left.at, field, list, is_negated),
            OperandKind::Related { relation, field } => self.related(left.at, relation, |linked| {
                linked.field_inside(left.at, field, list, is_negated)
            }),
            OperandKind::Caller(claim) => self.caller_inside(claim, list, is_negated),
            OperandKind::Text(_) | OperandKind::Int(_) | OperandKind::Bool(_) | OperandKind::Null => {
                let [
                    Operand {
                        kind: OperandKind::Caller(Claim::Roles),
                        ..
                    },
                ] = list
                else {
                    return Err(Mistake::new(
                        left.at,
                        "a fixed value can only be sought IN $user.roles",
                    ));
                };
                let (form, value) = plain(left)?;
                if form != Form::Text {
                    return Err(Mistake::new(left.at, "roles are texts"));
                }
                let slot = self.slots.index(Slot {
                    claim: Claim::Roles,
                    form,
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
        if !operators::is_comparable(column.kind) {
            return Err(Mistake::new(
                at,
                format!("`{field}` can't be compared: {}", kind_name(column)),
            ));
        }
        let mut values = Vec::new();
        let mut slots = Vec::new();
        for item in list {
            match &item.kind {
                OperandKind::Caller(Claim::Roles) if !operators::is_text(column.kind) => {
                    return Err(Mistake::new(item.at, "roles are texts"));
                }
                OperandKind::Caller(claim) => slots.push(self.slot(claim, column)),
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

    fn caller_inside(
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

    fn inside_select(
        &mut self,
        left: &Operand,
        select: &Select,
        is_negated: bool,
    ) -> Result<Template, Mistake> {
        let OperandKind::Field(field) = &left.kind else {
            return Err(Mistake::new(
                left.at,
                "only a field of the row can be sought IN (SELECT …)",
            ));
        };
        if self.reach == Reach::Linked {
            return Err(Mistake::new(left.at, "rules reach one step far only"));
        }
        let column = self.column(left.at, field)?;
        let Name { at, text } = &select.entity;
        let entity = self.schema.by_name(text).ok_or_else(|| {
            let names = self.schema.entities().iter().map(|entity| entity.name.as_str());
            Mistake::new(
                *at,
                format!("unknown entity `{text}`{}", suggestion::hint(text, names)),
            )
        })?;
        let mut linked = Compiler {
            schema: self.schema,
            slots: &mut *self.slots,
            entity,
            reach: Reach::Linked,
        };
        let foreign = linked.column(select.column.at, &select.column.text)?;
        if !operators::is_comparable(column.kind) || !operators::is_like(column.kind, foreign.kind) {
            let text = format!("`{field}` and `{}` can't be compared", select.column.text);
            return Err(Mistake::new(select.column.at, text));
        }
        let inner = match &select.filter {
            Some(filter) => linked.expression(filter, false)?,
            None => Template::Fixed(Predicate::True),
        };
        let link = Link {
            column: column.id,
            entity: entity.id,
            foreign: foreign.id,
        };
        if !is_negated {
            return Ok(related(link, Quantifier::Some, inner));
        }
        // `NULL NOT IN (…)` is unknown, so such a row is not selected; "no linked row" alone would select it.
        let is_set = Predicate::Not(Box::new(Predicate::IsNull { column: column.id }));
        Ok(Template::All(vec![
            Template::Fixed(is_set),
            related(link, Quantifier::None, inner),
        ]))
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

    /// A condition on the one row that a foreign key refers to. Since there is one at most, NOT may stand inside: a row
    /// that refers to nothing is selected neither way, as a comparison with NULL would have it.
    fn related(
        &mut self,
        at: usize,
        relation: &str,
        condition: impl FnOnce(&mut Compiler<'_>) -> Result<Template, Mistake>,
    ) -> Result<Template, Mistake> {
        if self.reach == Reach::Linked {
            return Err(Mistake::new(at, "rules reach one step far only"));
        }
        let link = self.link(at, relation)?;
        let entity = self
            .schema
            .entity(link.entity)
            .ok_or_else(|| Mistake::new(at, "refers to no entity"))?;
        let mut linked = Compiler {
            schema: self.schema,
            slots: &mut *self.slots,
            entity,
            reach: Reach::Linked,
        };
        let inner = condition(&mut linked)?;
        Ok(related(link, Quantifier::Some, inner))
    }

    /// The foreign key that a relation's name means: its column without `Id`, or the entity's name in lower camel case.
    fn link(&self, at: usize, relation: &str) -> Result<Link, Mistake> {
        let references = || {
            self.entity
                .columns
                .iter()
                .filter_map(|column| column.references.map(|it| (column, it)))
        };
        let by_column = |column: &Column| column.name.strip_suffix("Id") == Some(relation);
        let by_entity = |entity| {
            self.schema
                .entity(entity)
                .is_some_and(|entity| lower_camel(&entity.name) == relation)
        };
        let mut found: Vec<_> = references().filter(|(column, _)| by_column(column)).collect();
        if found.is_empty() {
            found = references()
                .filter(|(_, reference)| by_entity(reference.entity))
                .collect();
        }
        match found.as_slice() {
            [(column, reference)] => Ok(Link {
                column: column.id,
                entity: reference.entity,
                foreign: reference.column,
            }),
            [] => {
                let names = references().filter_map(|(column, _)| column.name.strip_suffix("Id"));
                let hint = suggestion::hint(relation, names);
                let entity = &self.entity.name;
                Err(Mistake::new(
                    at,
                    format!("`{entity}` has no foreign key called `{relation}`{hint}"),
                ))
            }
            [..] => Err(Mistake::new(
                at,
                format!("several foreign keys refer to `{relation}`; name the column without `Id`"),
            )),
        }
    }

    fn column(&self, at: usize, name: &str) -> Result<&'a Column, Mistake> {
        self.entity.column_by_name(name).ok_or_else(|| {
            let names = self.entity.columns.iter().map(|column| column.name.as_str());
            let hint = suggestion::hint(name, names);
            Mistake::new(at, format!("`{}` has no field `{name}`{hint}", self.entity.name))
        })
    }

    fn slot(&mut self, claim: &Claim, column: &Column) -> SlotId {
        let form = Form::Column(self.entity.id, column.id);
        self.slots.index(Slot {
            claim: claim.clone(),
            form,
        })
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

fn related(link: Link, quantifier: Quantifier, inner: Template) -> Template {
    match inner {
        Template::Fixed(predicate) => Template::Fixed(Predicate::Related {
            link,
            quantifier,
            predicate: Box::new(predicate),
        }),
        Template::Compare { .. }
        | Template::In { .. }
        | Template::Caller { .. }
        | Template::Related { .. }
        | Template::All(_)
        | Template::Any(_) => Template::Related {
            link,
            quantifier,
            inner: Box::new(inner),
        },
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

fn kind_name(column: &Column) -> String {
    format!("its type is {}", format!("{:?}", column.kind).to_lowercase())
}

/// `ForumThread` → `forumThread`
fn lower_camel(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}
