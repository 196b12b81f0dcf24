//! One column: its type, its flags and the rules that its values must meet.

use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::value::Value;

use crate::identifier::Identifier;

/// One field of an entity.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the file format and independent of the others"
)]
#[derive(Clone, Debug)]
pub struct Column {
    /// Index within its entity.
    pub id: ColumnId,
    /// Name that clients use.
    pub name: String,
    /// Name in the database.
    pub sql: Identifier,
    /// Type.
    pub kind: ColumnType,
    /// Must be given on create, unless it is generated or has a default.
    pub is_required: bool,
    /// NULL is a value of it.
    pub is_nullable: bool,
    /// No two rows have the same value. See [`crate::Entity::is_unique`], which knows keys and indexes too.
    pub is_unique: bool,
    /// An index of its own helps to find rows by it.
    pub is_indexed: bool,
    /// Filled by the daemon on create.
    pub generated: Option<Generator>,
    /// Filled with the time of each update by the daemon.
    pub is_auto_update: bool,
    /// Never changes once the row exists. A primary key never does: audit records and foreign keys name the row by it.
    pub is_immutable: bool,
    /// Value of a new row that names none.
    pub default: Option<Value>,
    /// What its values must meet besides the type.
    pub rules: Rules,
    /// Its values are secrets or personal: never in logs, audit records or error texts.
    pub is_sensitive: bool,
    /// Never in an answer, a filter or a sort, whatever the policy says.
    pub is_never_exposed: bool,
    /// Rows of another entity that it points at.
    pub references: Option<Reference>,
    /// What it is for.
    pub description: Option<String>,
}

/// Types of entity files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// RFC 9562
    Uuid,
    /// 1 to 32 lower-case letters and digits that begin with a letter (cuid and cuid2)
    Cuid,
    /// Short text
    String,
    /// Long text
    Text,
    /// Text that looks like `local@domain`
    Email,
    /// One of [`Rules::values`]
    Enum,
    /// 32 bit
    Integer,
    /// 64 bit
    Bigint,
    /// 64 bit, finite
    Float,
    /// Exact, as many digits as [`crate::DECIMAL_DIGITS`]
    Decimal,
    /// true or false
    Boolean,
    /// Day without time or zone
    Date,
    /// Point in time, ms
    Datetime,
    /// Any JSON
    Json,
    /// Octets
    Bytes,
}

/// What `generated` means for the column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// A new UUID (version 7): keys grow, and tell when a row was made.
    Uuid,
    /// A new UUID (version 4): all of it is random.
    Uuid4,
    /// A new cuid2.
    Cuid,
    /// The time of the call: a datetime, a date, or a bigint of Unix ms.
    Now,
}

/// What the values of a column must meet besides its type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Fewest characters; of bytes, octets.
    pub min_length: Option<u64>,
    /// Most characters; of bytes, octets.
    pub max_length: Option<u64>,
    /// Smallest value.
    pub min: Option<Bound>,
    /// Largest value.
    pub max: Option<Bound>,
    /// Regular expression that must match somewhere (anchor it with `^…$` to match the whole).
    pub pattern: Option<Pattern>,
    /// Allowed values, in the order of the file; empty where any will do.
    pub values: Vec<String>,
}

/// A smallest or largest value, inclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// In the column's type.
    pub value: Value,
    /// As written in the entity file.
    pub text: String,
}

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub struct Pattern(pub(crate) regex::Regex);

impl Pattern {
    /// The expression as written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// A foreign key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The entity that is referred to.
    pub entity: EntityId,
    /// Its unique column.
    pub column: ColumnId,
    /// What happens to this row when that one goes.
    pub on_delete: OnDelete,
}

/// What happens to a row when the one it refers to is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// The other can't be deleted.
    Restrict,
    /// It goes too.
    Cascade,
    /// The column becomes NULL.
    SetNull,
}
