//! The schema's hash: SHA-256 over everything that changes what requests mean, in one fixed form. Places, descriptions
//! and versions are left out, so that a comment doesn't part broker and worker.

use dbal_shared::ids::Digest;
use dbal_shared::predicate::Link;
use dbal_shared::value::Value;
use sha2::{Digest as _, Sha256};

use crate::acl::{InlineAcl, InlineGrant, InlineOperation, InlineRule, Who};
use crate::caching::Caching;
use crate::column::{Bound, Column, Generator, OnDelete, Reference, Rules};
use crate::entity::{Entity, Index, Ttl};
use crate::json_text;
use crate::relation::Relation;

/// Changes whenever the form below does, so that two builds that hash differently never seem to agree by chance.
const FORM: &str = "dbal schema 3";

pub(crate) fn hash(entities: &[Entity]) -> Digest {
    let mut form = Form(Sha256::new());
    form.text(FORM);
    form.list(entities, Form::entity);
    Digest(form.0.finalize().into())
}

/// Every text is preceded by its length and every list by its count, so no two schemas have the same bytes.
struct Form(Sha256);

impl Form {
    fn entity(&mut self, entity: &Entity) {
        let Entity {
            id: _,
            at: _,
            name,
            version: _,
            description: _,
            table,
            columns,
            key,
            indexes,
            acl,
            max_rows,
            default_rows,
            is_read_only,
            system_only,
            audits_all_access,
            ttl,
            caching,
            relations,
            by_name: _,
        } = entity;
        self.text(name);
        self.text(table.as_str());
        self.list(columns, Form::column);
        self.number(key.0.into());
        self.list(indexes, Form::index);
        self.acl(acl);
        self.option(max_rows.as_ref(), |form, rows| form.number((*rows).into()));
        self.option(default_rows.as_ref(), |form, rows| form.number((*rows).into()));
        self.flag(*is_read_only);
        self.list(system_only, |form, operation| form.text(operation.name()));
        self.flag(*audits_all_access);
        self.option(
            ttl.as_ref(),
            |form,
             Ttl {
                 column,
                 is_auto_deleted,
             }| {
                form.number(column.0.into());
                form.flag(*is_auto_deleted);
            },
        );
        self.option(caching.as_ref(), |form, Caching { ttl }| {
            form.number(ttl.as_secs());
        });
        self.list(relations, |form, Relation { name, link, arity: _ }| {
            let Link {
                column,
                entity,
                foreign,
            } = link;
            form.text(name);
            for number in [column.0, entity.0, foreign.0] {
                form.number(number.into());
            }
        });
    }

    fn column(&mut self, column: &Column) {
        let Column {
            id: _,
            name,
            sql,
            kind,
            is_required,
            is_nullable,
            is_unique,
            is_indexed,
            generated,
            is_auto_update,
            is_immutable,
            default,
            rules,
            is_sensitive,
            is_never_exposed,
            references,
            description: _,
        } = column;
        self.text(name);
        self.text(sql.as_str());
        self.text(kind.name());
        for flag in [
            is_required,
            is_nullable,
            is_unique,
            is_indexed,
            is_auto_update,
            is_immutable,
            is_sensitive,
            is_never_exposed,
        ] {
            self.flag(*flag);
        }
        self.option(generated.as_ref(), |form, generator| {
            form.text(match generator {
                Generator::Uuid => "uuid",
                Generator::Uuid4 => "uuid4",
                Generator::Cuid => "cuid",
                Generator::Now => "now",
            });
        });
        self.option(default.as_ref(), Form::value);
        let Rules {
            min_length,
            max_length,
            min,
            max,
            pattern,
            values,
        } = rules;
        for length in [min_length, max_length] {
            self.option(length.as_ref(), |form, length| form.number(*length));
        }
        for bound in [min, max] {
            self.option(bound.as_ref(), |form, Bound { value, text }| {
                form.value(value);
                form.text(text);
            });
        }
        self.option(pattern.as_ref(), |form, pattern| form.text(pattern.as_str()));
        self.list(values, |form, value| form.text(value));
        self.option(
            references.as_ref(),
            |form,
             Reference {
                 entity,
                 column,
                 on_delete,
             }| {
                form.number(entity.0.into());
                form.number(column.0.into());
                form.text(match on_delete {
                    OnDelete::Restrict => "restrict",
                    OnDelete::Cascade => "cascade",
                    OnDelete::SetNull => "set_null",
                });
            },
        );
    }

    fn index(&mut self, index: &Index) {
        let Index {
            name,
            columns,
            is_unique,
        } = index;
        self.text(name.as_str());
        self.list(columns, |form, column| form.number(column.0.into()));
        self.flag(*is_unique);
    }

    fn acl(&mut self, acl: &InlineAcl) {
        let InlineAcl { at, rules } = acl;
        self.flag(at.is_some());
        self.list(
            rules,
            |form,
             InlineRule {
                 at: _,
                 operation,
                 grants,
             }| {
                form.text(match operation {
                    InlineOperation::Create => "create",
                    InlineOperation::Read => "read",
                    InlineOperation::List => "list",
                    InlineOperation::Update => "update",
                    InlineOperation::Delete => "delete",
                });
                form.list(grants, Form::grant);
            },
        );
    }

    fn grant(&mut self, grant: &InlineGrant) {
        let InlineGrant {
            at: _,
            who,
            row_level,
            writable_fields,
        } = grant;
        match who {
            Who::Public => self.text("public"),
            Who::SelfRow => self.text("self"),
            Who::System => self.text("system"),
            Who::Role(role) => {
                self.text("role");
                self.text(role);
            }
        }
        self.option(row_level.as_ref(), |form, row_level| {
            form.text(&row_level.text);
        });
        self.option(writable_fields.as_ref(), |form, columns| {
            form.list(columns, |form, column| form.number(column.0.into()));
        });
    }

    /// Values of one column have one type, so their JSON text tells them apart.
    fn value(&mut self, value: &Value) {
        let mut text = String::new();
        json_text::push_plain(value, &mut text);
        self.text(&text);
    }

    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.number(u64::try_from(items.len()).unwrap_or(u64::MAX));
        for item in items {
            each(self, item);
        }
    }

    fn option<T>(&mut self, item: Option<&T>, some: impl Fn(&mut Self, &T)) {
        self.flag(item.is_some());
        if let Some(item) = item {
            some(self, item);
        }
    }

    fn text(&mut self, text: &str) {
        self.number(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.0.update(text);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.0.update([u8::from(flag)]);
    }
}
