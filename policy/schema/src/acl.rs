//! Access rules as they stand in an entity file: typed, but not judged. `dbal-policy` compiles them.

use dbal_shared::ids::ColumnId;

use crate::scalar::Scalar;
use crate::source::Location;

/// The `acl:` of one entity. Empty where the file has none: then only the policy file grants anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InlineAcl {
    /// Where it stands.
    pub at: Option<Location>,
    /// What it says of each operation, in the order of the file.
    pub rules: Vec<InlineRule>,
}

/// What an inline acl says of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct InlineRule {
    /// Where it stands.
    pub at: Location,
    /// The operation.
    pub operation: InlineOperation,
    /// Who may, each of them on their own; nobody where it is empty.
    pub grants: Vec<InlineGrant>,
}

/// Operations as inline acls name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InlineOperation {
    /// `create`
    Create,
    /// `read`: by key and in lists
    Read,
    /// `list`: in lists only
    List,
    /// `update`
    Update,
    /// `delete`
    Delete,
}

/// One grant of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct InlineGrant {
    /// Where it stands.
    pub at: Location,
    /// Who may.
    pub who: Who,
    /// Which rows, as written, not parsed yet; all where there is none. `row_level` beside `self: true` says what `self` means and leaves the other
    /// grants of the operation alone; without `self` it holds for all of them.
    pub row_level: Option<Scalar>,
    /// Columns that may be written; all that are writable where there is no list.
    pub writable_fields: Option<Vec<ColumnId>>,
}

/// Who a grant is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, even without a proof.
    Public,
    /// Whoever the row belongs to.
    SelfRow,
    /// The daemon's own tasks: nobody who comes over the network.
    System,
    /// Whoever has the role.
    Role(String),
}
