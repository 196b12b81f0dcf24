//! What is in a live database, as far as entities can speak of it. Each adapter fills it in from its own catalogue; what is
//! wrong with it is said once, in `compare`.

use dbal_schema::{ColumnType, Entity, OnDelete, Schema};

/// The tables that the connection sees.
#[derive(Debug)]
pub struct Catalog {
    /// Tables and views, without those of the database itself.
    pub tables: Vec<Table>,
    /// Where in the database they are, where there are several such places.
    pub place: Option<String>,
    /// How names of tables are compared.
    pub table_names: Names,
    /// How names of columns are compared.
    pub names: Names,
    /// What the database's types can hold.
    pub types: Types,
}

/// How the database compares names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `Note` and `note` are one.
    AnyCase,
    /// They are two.
    Exact,
}

/// What an adapter knows of its database's types.
#[derive(Clone, Copy, Debug)]
pub struct Types {
    /// The type that fits a column best; none where none does.
    pub suggest: fn(&Column) -> Option<ColumnType>,
    /// Whether a column holds what the daemon writes for a type.
    pub fit: fn(&Column, ColumnType) -> Fit,
    /// Columns that hold a type, as people write them; none where there are too many ways to write one.
    pub usable: fn(ColumnType) -> Vec<&'static str>,
    /// Whether texts that differ are one to a column's indexes and references.
    pub is_loose: fn(&Column) -> bool,
    /// Whether columns of a field of this type and of what it refers to can be compared as they are, without a cast.
    pub is_comparable: fn(ColumnType, &Column, &Column) -> bool,
}

/// Whether a column holds a type's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of them, and they come back as they went in.
    Whole,
    /// Some are refused or come back changed: which.
    Partly(&'static str),
    /// It takes them, or others that look like them, and answers would be wrong: why.
    Wrong(&'static str),
    /// None, or next to none.
    Not,
}

/// A table or a view.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Whether it holds rows of its own.
    pub kind: TableKind,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// The columns of its primary key, in order.
    pub key: Vec<String>,
    /// Its indexes; the primary key's may be among them or not.
    pub indexes: Vec<Index>,
    /// What its rows refer to.
    pub references: Vec<Reference>,
    /// Whether we may make indexes of it.
    pub is_ours: bool,
    /// Whether what is written there can be undone.
    pub is_transactional: bool,
    /// Whether its columns hold what the worker would write and nothing else of the same type: not where a boolean may be any number,
    /// or a time any text.
    pub is_strict: bool,
    /// How its rows depend on others, besides by references.
    pub ties: Ties,
    /// What we may not do with its rows, in the database's words.
    pub forbidden: Vec<&'static str>,
    /// What it does that no entity can say: checks, triggers.
    pub notes: Vec<String>,
}

/// How a table's rows depend on others, besides by references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ties {
    /// Whether what it shows are the rows that were written to it, all of them and nothing else: it is no view, no part of another
    /// table, and no policies of the database's own choose among them.
    pub is_itself: bool,
    /// Whether the database may write elsewhere when it is written to: triggers, rules, parts.
    pub has_effects: bool,
}

/// Kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Holds rows.
    Table,
    /// Shows rows of others, or of none (a virtual table): it has neither keys nor indexes to compare.
    View,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as people wrote it.
    pub declared: String,
    /// Its type as [`Types`] know it.
    pub storage: String,
    /// What its texts are compared by, where the database tells.
    pub collation: Option<String>,
    /// Whether NULL is a value of it.
    pub is_nullable: bool,
    /// Whether we may read it.
    pub is_readable: bool,
    /// Most characters, where the database refuses more.
    pub max_length: Option<u64>,
    /// Smallest and largest number, where the database refuses others.
    pub range: Option<(i64, i64)>,
    /// The only texts that the database takes, where it has a list of them.
    pub values: Vec<String>,
    /// What a row gets that names no value.
    pub fill: Fill,
}

/// What a column gets in a row that names no value for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// NULL, or the row is refused.
    Nothing,
    /// A value: its text, without quotes.
    Literal(String),
    /// The value of an expression, as SQL has it.
    Expression(String),
    /// The next number.
    Counter,
    /// The next number, and the database takes no other.
    OnlyCounter,
    /// It is computed of other columns and can't be written.
    Computed,
}

/// An index.
#[derive(Debug)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// No two rows agree in all of them.
    pub is_unique: bool,
    /// What of its columns and rows it is over.
    pub extent: Extent,
}

/// What an index is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Whole columns of all rows.
    Whole,
    /// All rows, but only the beginnings of some values: unique, it keeps apart more than it should.
    Beginnings,
    /// Some of the rows, or expressions.
    Part,
}

/// A foreign key.
#[derive(Debug)]
pub struct Reference {
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table they refer to.
    pub table: String,
    /// Its columns.
    pub to: Vec<String>,
    /// What happens to these rows when those go; none where no entity can say it (`SET DEFAULT`).
    pub on_delete: Option<OnDelete>,
    /// Whether these rows change when what they refer to does.
    pub follows_updates: bool,
}

/// Whether a column of this type stands in a table of which nobody knows that it holds nothing else.
pub(super) fn are_lax(kind: ColumnType, schema: &Schema, catalog: &Catalog) -> bool {
    let stands_so = |entity: &Entity| {
        let has_one = entity.columns.iter().any(|column| column.kind == kind);
        let is_strict = || {
            let table = catalog.table(entity.table.as_str());
            table.is_some_and(|table| table.is_strict)
        };
        has_one && !is_strict()
    };
    schema.entities().iter().any(stands_so)
}

impl Names {
    /// Whether two names are one.
    pub fn are_one(self, left: &str, right: &str) -> bool {
        match self {
            Names::AnyCase => left.eq_ignore_ascii_case(right),
            Names::Exact => left == right,
        }
    }

    /// Whether two lists of names are one.
    pub fn are_all_one(self, left: &[String], right: &[String]) -> bool {
        left.len() == right.len()
            && left
                .iter()
                .zip(right)
                .all(|(left, right)| self.are_one(left, right))
    }
}

impl Catalog {
    /// The table with this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| self.table_names.are_one(&table.name, name))
    }
}

impl Table {
    /// The column with this name.
    pub fn column(&self, name: &str, names: Names) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| names.are_one(&column.name, name))
    }

    /// Whether no two rows agree in these columns.
    pub fn is_unique(&self, columns: &[String], names: Names) -> bool {
        // Of fewer columns it is unique all the more; the order does not matter.
        let is_within = |some: &[String]| {
            !some.is_empty()
                && some
                    .iter()
                    .all(|one| columns.iter().any(|column| names.are_one(column, one)))
        };
        is_within(&self.key)
            || self
                .indexes
                .iter()
                .any(|index| index.is_unique && index.extent != Extent::Part && is_within(&index.columns))
    }

    /// Whether rows are found by these columns without reading the whole table.
    pub fn is_indexed(&self, columns: &[String], names: Names) -> bool {
        let begins = |some: &[String]| {
            some.get(..columns.len())
                .is_some_and(|first| names.are_all_one(first, columns))
        };
        begins(&self.key)
            || self
                .indexes
                .iter()
                .any(|index| index.extent == Extent::Whole && begins(&index.columns))
    }
}
