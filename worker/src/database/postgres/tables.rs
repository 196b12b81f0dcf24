//! What the worker found at start and an error or a text does not tell: unique constraints, and how texts are to be compared.

use dbal_schema::Schema;
use dbal_sql::{Dialect, POSTGRES, POSTGRES_ALONE, POSTGRES_FOREIGN, POSTGRES_FOREIGN_ALONE};

use crate::database::catalog::{Catalog, Column};
use crate::database::unique::Unique;

/// Of all entities.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) unique: Unique,
    texts: Texts,
}

/// What a column holds equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::database) enum Texts {
    /// No two different texts.
    #[default]
    Exact,
    /// Somewhere, texts that differ in blanks at their end: a `char(n)` fills them up with such.
    Padded,
}

impl Texts {
    /// Of all columns of texts.
    pub(in crate::database) fn of(schema: &Schema, catalog: &Catalog) -> Self {
        let are_exact = schema.entities().iter().all(|entity| {
            let table = catalog.table(entity.table.as_str());
            let mut texts = entity.columns.iter().filter(|column| column.kind.is_text());
            texts.all(|column| {
                let found = table.and_then(|table| table.column(column.sql.as_str(), catalog.names));
                found.is_some_and(is_exact)
            })
        });
        if are_exact { Texts::Exact } else { Texts::Padded }
    }
}

fn is_exact(column: &Column) -> bool {
    column.storage != "bpchar"
}

impl Tables {
    /// Those of a database.
    pub(super) fn of(schema: &Schema, catalog: &Catalog) -> Self {
        Self {
            unique: Unique::of(schema, catalog),
            texts: Texts::of(schema, catalog),
        }
    }

    /// For statements within a transaction, and reads.
    pub(super) fn dialect(&self) -> &'static Dialect {
        match self.texts {
            Texts::Exact => &POSTGRES,
            Texts::Padded => &POSTGRES_FOREIGN,
        }
    }

    /// For a change that is its own transaction.
    pub(super) fn dialect_alone(&self) -> &'static Dialect {
        match self.texts {
            Texts::Exact => &POSTGRES_ALONE,
            Texts::Padded => &POSTGRES_FOREIGN_ALONE,
        }
    }
}
