//! One entity: a table, its columns and what the daemon holds true of it whatever the policy says.

use std::collections::HashMap;

use dbal_shared::fault::Fault;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::Operation;
use dbal_shared::predicate::Link;

use crate::acl::InlineAcl;
use crate::caching::Caching;
use crate::column::Column;
use crate::column_set::ColumnSet;
use crate::identifier::Identifier;
use crate::relation::Relation;
use crate::source::Location;

/// One entity.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Index in the schema.
    pub id: EntityId,
    /// Where it is declared.
    pub at: Location,
    /// Name that clients use.
    pub name: String,
    /// Version, as the file has it; for people.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Table in the database.
    pub table: Identifier,
    /// Its fields; a [`ColumnId`] is an index into them.
    pub columns: Vec<Column>,
    /// Primary key.
    pub key: ColumnId,
    /// Indexes besides those of single columns.
    pub indexes: Vec<Index>,
    /// Access rules in the entity file.
    pub acl: InlineAcl,
    /// Most rows of one answer.
    pub max_rows: Option<u32>,
    /// Rows of a list that names no limit.
    pub default_rows: Option<u32>,
    /// Nobody writes it through the daemon.
    pub is_read_only: bool,
    /// Operations that nobody who comes over the network may do, whatever the policy says.
    pub system_only: Vec<Operation>,
    /// Every read is audited with its keys.
    pub audits_all_access: bool,
    /// When rows expire.
    pub ttl: Option<Ttl>,
    /// Whether answers that show its rows may be kept, and for how long.
    pub caching: Option<Caching>,
    /// Foreign keys from and to it, by the names that clients use.
    pub relations: Vec<Relation>,
    pub(crate) by_name: HashMap<String, ColumnId>,
}

/// An index over some columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Name in the database.
    pub name: Identifier,
    /// Columns, in order.
    pub columns: Vec<ColumnId>,
    /// No two rows agree in all of them.
    pub is_unique: bool,
}

/// Rows expire at the time that a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// A datetime, or a bigint of Unix ms.
    pub column: ColumnId,
    /// Whether the daemon removes expired rows.
    pub is_auto_deleted: bool,
}

impl Ttl {
    /// The least number that a bigint is taken for a time: 1973-03-03 in Unix ms. Smaller ones are seconds, or 0 for never, and
    /// who meant those must not lose every row.
    pub const LEAST_MS: i64 = 100_000_000_000;
}

impl Entity {
    /// Faults for operators: `noteId refers to a row that does not exist`. Clients get only the fields that they may know.
    pub fn describe(&self, faults: &[(ColumnId, Fault)]) -> String {
        let texts = faults.iter().map(|(column, fault)| {
            let name = self.column(*column).map_or("?", |column| column.name.as_str());
            format!("{name} {fault}")
        });
        texts.collect::<Vec<_>>().join("; ")
    }

    /// The column with this index.
    pub fn column(&self, column: ColumnId) -> Option<&Column> {
        self.columns.get(usize::from(column.0))
    }

    /// The column that clients call so; case counts.
    pub fn column_by_name(&self, name: &str) -> Option<&Column> {
        self.by_name.get(name).and_then(|column| self.column(*column))
    }

    /// Whether at most one row has any given value in this column: it is the key, `unique`, or has a unique index alone.
    pub fn is_unique(&self, column: ColumnId) -> bool {
        column == self.key
            || self.column(column).is_some_and(|found| found.is_unique)
            || self
                .indexes
                .iter()
                .any(|index| index.is_unique && index.columns == [column])
    }

    /// The column by which the daemon removes rows, if it does.
    pub fn expires_by(&self) -> Option<&Column> {
        let ttl = self.ttl.filter(|ttl| ttl.is_auto_deleted && !self.is_read_only)?;
        self.column(ttl.column)
    }

    /// Whether an index begins with this column: its own, that of a foreign key, or one over several.
    pub fn has_index_led_by(&self, column: ColumnId) -> bool {
        let has_own = |found: &Column| found.is_indexed || found.references.is_some();
        self.is_unique(column)
            || self.column(column).is_some_and(has_own)
            || self
                .indexes
                .iter()
                .any(|index| index.columns.first() == Some(&column))
    }

    /// The relation that clients call so; case counts.
    pub fn relation_by_name(&self, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.name == name)
    }

    /// The relation over this link. Only foreign keys are followed, whatever a plan says.
    pub fn relation(&self, link: Link) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.link == link)
    }

    /// All columns.
    pub fn all_columns(&self) -> ColumnSet {
        ColumnSet::full(self.columns.len())
    }
}
