//! What differs between databases, as data: one constant per database, one line per difference.

mod mysql;
mod postgres;
mod sqlite;

use dbal_schema::{Column, ColumnType};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::value::Value;

pub use mysql::{
    ANY_NUMBER, MARIADB, MARIADB_FOREIGN, MYSQL, MYSQL_FOREIGN, answering_new_rows, has_room_for,
    making_alone,
};
pub use postgres::{
    BRIDGED_POSTGRES, BRIDGED_POSTGRES_FOREIGN, NOT_PERMITTED, POSTGRES, POSTGRES_ALONE, POSTGRES_FOREIGN,
    POSTGRES_FOREIGN_ALONE, TOO_MANY_ROWS,
};
pub use sqlite::{SQLITE, SQLITE_FOREIGN, SQLITE_LAX};

/// One database's way of saying things.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Name in capabilities.
    pub name: &'static str,
    /// Around identifiers; doubled inside.
    pub quote: char,
    /// Form of placeholders.
    pub placeholder: Placeholder,
    /// Most placeholders of one statement.
    pub most_parameters: usize,
    /// After the placeholder of an operand that is compared with a column of this type.
    pub compared: fn(ColumnType) -> &'static str,
    /// After the placeholder of a value that stands where a condition has a column of this type: nothing beside it need
    /// tell the database its type.
    pub written: fn(ColumnType) -> &'static str,
    /// Around a placeholder, by its value alone.
    pub cast: fn(&Value) -> (&'static str, &'static str),
    /// Around a text that is compared or sorted by, where its own order may not be that of code points.
    pub around_text: (&'static str, &'static str),
    /// Around a boolean that is compared, sorted or grouped by, where a column may hold other numbers than 0 and 1: each but 0 is read
    /// as true.
    pub around_boolean: (&'static str, &'static str),
    /// Around a time that rows are grouped by or that stands beside another column, where columns may hold finer times than ours: it
    /// is cut to milliseconds, as it is read. None where times of all columns are compared as they are read anyway.
    pub cut_time: Option<(&'static str, &'static str)>,
    /// How a column of this type is asked to equal one of several values; none where nobody asks so.
    pub one_of: fn(ColumnType) -> Option<OneOf>,
    /// Around the condition that a row must satisfy as written. Words that make the statement fail where it does not spare
    /// the transaction in which it would be undone.
    pub as_written: (&'static str, &'static str),
    /// What is undone together when something in it is found wanting.
    pub unit: Unit,
    /// After a column that is compared for equality.
    pub equality: fn(ColumnType) -> &'static str,
    /// After a column whose place in the order counts.
    pub order: fn(ColumnType) -> &'static str,
    /// After a sort key that can be NULL, smallest first with NULL before all values.
    pub ascending: &'static str,
    /// After a sort key that can be NULL, largest first with NULL after all values.
    pub descending: &'static str,
    /// After a column of an index that can be NULL, so that the index serves both of these orders.
    pub indexed: &'static str,
    /// How an index is made to serve a page behind a place.
    pub behind: Behind,
    /// Around a text, so that case does not count.
    pub fold: (&'static str, &'static str),
    /// Columns of others that keep uuids in a form of their own.
    pub other_uuids: &'static [OtherUuid],
    /// Around a uuid of such a column: its text, where only that stands in the right order.
    pub uuid_as_text: (&'static str, &'static str),
    /// After the placeholder of a text that is looked for.
    pub text: &'static str,
    /// After a column that is looked into.
    pub searched: &'static str,
    /// Around a column of whole numbers: their exact sum, however large it is and in whatever order they come; as a decimal.
    pub sum_of_integers: [&'static str; 2],
    /// The same of decimals. The column stands between all of these words. Where a sum may have more digits than the database has, it is two
    /// texts with a blank between them, and the adapter adds them up.
    pub sum_of_decimals: &'static [&'static str],
    /// Around a float that rows are grouped by, where -0 and 0 would be two groups.
    pub group_of_floats: [&'static str; 2],
    /// Around a column of floats: their sum, as a 64-bit float.
    pub sum_of_floats: [&'static str; 2],
    /// Text match: `column` contains `text`.
    pub contains: &'static [Piece],
    /// Text match: `column` starts with `text`.
    pub starts_with: &'static [Piece],
    /// Text match: `column` ends with `text`.
    pub ends_with: &'static [Piece],
    /// Text match: `column` is `text`.
    pub whole: &'static [Piece],
    /// Whether a write can answer the rows that it wrote. Where it can't, rows are judged before they are written or by the
    /// write itself, and read again afterwards.
    pub returning: Returning,
    /// Entities whose rows are read again although a write could answer them: what a view shows of a row is not what was written to it.
    pub read_again: &'static [EntityId],
    /// Where a subquery about the table that is being written finds its rows.
    pub own_rows: OwnRows,
    /// After the values of a `SELECT` that has no table.
    pub from_nothing: &'static str,
    /// Type of a column, as `CREATE TABLE` wants it.
    pub column_type: fn(ColumnType) -> &'static str,
    /// Type of a column that is in an index.
    pub indexed_type: fn(&Column) -> &'static str,
    /// Where `CREATE TABLE` says what a column refers to.
    pub references: References,
    /// After `CREATE INDEX`. Empty: the adapter knows by the error that it is there.
    pub if_not_exists: &'static str,
    /// After the closing bracket of `CREATE TABLE`.
    pub table_options: &'static str,
    /// References to tables that are not there yet.
    pub forward: Forward,
}

impl Returning {
    /// Whether a statement that changes rows answers them.
    pub(crate) fn is_of_changes(self) -> bool {
        match self {
            Returning::Clause => true,
            Returning::NewRows | Returning::None => false,
        }
    }
}

impl Dialect {
    /// Whether a statement that makes rows of this entity answers them.
    pub(crate) fn answers_new_rows(&self, entity: EntityId) -> bool {
        match self.returning {
            Returning::Clause => true,
            Returning::NewRows => !self.read_again.contains(&entity),
            Returning::None => false,
        }
    }

    /// How a column keeps uuids. Of other types it says nothing.
    pub(crate) fn uuid_form(&self, entity: EntityId, column: &Column) -> UuidForm {
        if column.kind != ColumnType::Uuid {
            return UuidForm::Text;
        }
        let mut others = self.other_uuids.iter();
        others
            .find(|other| (other.entity, other.column) == (entity, column.id))
            .map_or(UuidForm::Text, |other| other.form)
    }
}

/// How rows behind a place are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// By one condition: of the stretches of an index that it takes the database makes one way.
    Condition,
    /// Stretch by stretch, as PostgreSQL looks for none of them in an index where there is OR between them.
    Stretches,
}

/// A column that keeps uuids in another form than the tables that we make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherUuid {
    /// Its entity.
    pub entity: EntityId,
    /// The column.
    pub column: ColumnId,
    /// Its form.
    pub form: UuidForm,
}

/// How a statement says that a column equals one of several values: the words around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneOf {
    /// They are one parameter, a list.
    List(&'static str, &'static str),
    /// Each is a parameter.
    Each(&'static str, &'static str),
}

/// How a column keeps uuids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidForm {
    /// The database takes and gives text, or what we say is a uuid, and orders them as we do.
    Text,
    /// Their sixteen octets.
    Octets,
    /// The database takes and gives text, and puts some of them into an order of its own.
    OwnOrder,
}

/// What `CREATE TABLE` makes of a reference to a table that is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// It is looked at when rows are written.
    Taken,
    /// An error: the reference is added when both are there.
    Refused,
}

/// What is undone together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Several statements, in a transaction that the adapter holds open.
    Transaction,
    /// One statement. Whatever may not be has to make it fail, so a change of many rows says all of it in itself.
    Statement {
        /// A value that can't be had, for more rows than one call may change.
        too_many: &'static str,
    },
}

/// Form of placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `?`, in order
    Question,
    /// `$1`, `$2` …
    Numbered,
}

/// Whether a write can answer the rows that it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returning {
    /// By `RETURNING` after each kind of write.
    Clause,
    /// By `RETURNING` where it makes rows. MariaDB has it after removals as well, where nobody needs it, and not after changes.
    NewRows,
    /// Not at all.
    None,
}

/// Where a subquery about the table that is being written finds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnRows {
    /// In the table.
    Table,
    /// In a copy: MySQL takes no subquery about the table that it updates (error 1093). A limit keeps the copy from being
    /// merged away.
    Copy,
}

/// Where `CREATE TABLE` says what a column refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum References {
    /// After the column.
    Inline,
    /// After all columns: MySQL reads it after the column and then ignores it.
    AtEnd,
}

/// A part of a text match.
#[derive(Clone, Copy, Debug)]
pub enum Piece {
    /// Our own words.
    Word(&'static str),
    /// The column.
    Column,
    /// The text that is looked for.
    Text,
}

/// For a database that takes values as they are.
fn as_it_is(_: &Value) -> (&'static str, &'static str) {
    ("", "")
}

/// Whether keys are of this type.
fn is_of_keys(kind: ColumnType) -> bool {
    match kind {
        ColumnType::Uuid
        | ColumnType::Cuid
        | ColumnType::String
        | ColumnType::Text
        | ColumnType::Email
        | ColumnType::Integer
        | ColumnType::Bigint => true,
        ColumnType::Enum
        | ColumnType::Float
        | ColumnType::Decimal
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Datetime
        | ColumnType::Json
        | ColumnType::Bytes => false,
    }
}

/// For a database that needs no such word.
fn nothing(_: ColumnType) -> &'static str {
    ""
}
