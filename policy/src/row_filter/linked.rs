//! Conditions on linked rows: the one that a foreign key refers to, or any that a SELECT finds. One step, no further.

use dbal_schema::relation::lower_camel;
use dbal_schema::{Column, suggestion};
use dbal_shared::predicate::{Link, Predicate, Quantifier};

use super::{Compiler, Reach};
use crate::expression::{Mistake, Name, Operand, OperandKind, Select};
use crate::template::Template;

impl Compiler<'_> {
    pub(super) fn inside_select(
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
            claims: self.claims,
            slots: &mut *self.slots,
            entity,
            reach: Reach::Linked,
        };
        let foreign = linked.column(select.column.at, &select.column.text)?;
        if !column.kind.is_comparable() || !column.kind.is_like(foreign.kind) {
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

    /// A condition on the one row that a foreign key refers to. Since there is one at most, NOT may stand inside: a row
    /// that refers to nothing is selected neither way, as a comparison with NULL would have it.
    pub(super) fn related(
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
            claims: self.claims,
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
}

fn related(link: Link, quantifier: Quantifier, inner: Template) -> Template {
    match inner {
        Template::Fixed(predicate) => Template::Fixed(Predicate::Related {
            link,
            quantifier,
            within: Box::new(Predicate::True),
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
