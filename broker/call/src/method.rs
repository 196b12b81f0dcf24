//! The methods by name, with the names of their parameters: one line each.

use dbal_shared::plan::Operation;

/// A method of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `create`
    Create,
    /// `read`
    Read,
    /// `update`
    Update,
    /// `delete`
    Delete,
    /// `list`
    List,
    /// `findFirst`
    FindFirst,
    /// `findByField`
    FindByField,
    /// `upsert`
    Upsert,
    /// `updateByField`
    UpdateByField,
    /// `deleteByField`
    DeleteByField,
    /// `createMany`
    CreateMany,
    /// `updateMany`
    UpdateMany,
    /// `deleteMany`
    DeleteMany,
    /// `count`
    Count,
    /// `aggregate`
    Aggregate,
    /// `transaction`
    Transaction,
    /// `batch`
    Batch,
    /// `getCapabilities`
    GetCapabilities,
    /// `explain`
    Explain,
    /// `rpc.discover`
    Discover,
    /// `$/cancelRequest`
    Cancel,
}

/// What is known of a method before it is called.
struct Row {
    method: Method,
    name: &'static str,
    /// By position; the last of `upsert` depends on the shape of its second.
    parameters: &'static [&'static str],
    is_served: bool,
}

const fn row(
    method: Method,
    name: &'static str,
    parameters: &'static [&'static str],
    is_served: bool,
) -> Row {
    Row {
        method,
        name,
        parameters,
        is_served,
    }
}

const TABLE: &[Row] = &[
    row(Method::Create, "create", &["entity", "data", "options"], true),
    row(Method::Read, "read", &["entity", "id", "options"], true),
    row(
        Method::Update,
        "update",
        &["entity", "id", "data", "options"],
        true,
    ),
    row(Method::Delete, "delete", &["entity", "id", "options"], true),
    row(Method::List, "list", &["entity", "options"], true),
    row(
        Method::FindFirst,
        "findFirst",
        &["entity", "filter", "options"],
        true,
    ),
    row(
        Method::FindByField,
        "findByField",
        &["entity", "field", "value", "options"],
        true,
    ),
    row(
        Method::Upsert,
        "upsert",
        &[
            "entity",
            "uniqueField",
            "uniqueValue",
            "createData",
            "updateData",
            "filter",
            "options",
        ],
        true,
    ),
    row(
        Method::UpdateByField,
        "updateByField",
        &["entity", "field", "value", "data", "options"],
        true,
    ),
    row(
        Method::DeleteByField,
        "deleteByField",
        &["entity", "field", "value", "options"],
        true,
    ),
    row(
        Method::CreateMany,
        "createMany",
        &["entity", "rows", "options"],
        true,
    ),
    row(
        Method::UpdateMany,
        "updateMany",
        &["entity", "filter", "data", "options"],
        true,
    ),
    row(
        Method::DeleteMany,
        "deleteMany",
        &["entity", "filter", "options"],
        true,
    ),
    row(Method::Count, "count", &["entity", "options"], true),
    row(Method::Aggregate, "aggregate", &["entity", "options"], true),
    row(Method::Transaction, "transaction", &["calls", "options"], true),
    row(Method::Batch, "batch", &["calls"], true),
    row(Method::GetCapabilities, "getCapabilities", &[], true),
    row(Method::Explain, "explain", &["method", "params"], true),
    row(Method::Discover, "rpc.discover", &[], true),
    row(Method::Cancel, "$/cancelRequest", &["id"], true),
];

impl Method {
    /// The method that clients call so.
    pub fn by_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.method)
    }

    /// The name that clients use.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// Names of its parameters, in order.
    pub fn parameters(self) -> &'static [&'static str] {
        self.row().map_or(&[], |row| row.parameters)
    }

    /// Whether it changes one entity's rows; its `options` then say no more than how it is done.
    pub fn is_write(self) -> bool {
        match self {
            Method::Create
            | Method::Update
            | Method::Delete
            | Method::Upsert
            | Method::UpdateByField
            | Method::DeleteByField
            | Method::CreateMany
            | Method::UpdateMany
            | Method::DeleteMany => true,
            Method::Read
            | Method::List
            | Method::FindFirst
            | Method::FindByField
            | Method::Count
            | Method::Aggregate
            | Method::Transaction
            | Method::Batch
            | Method::GetCapabilities
            | Method::Explain
            | Method::Discover
            | Method::Cancel => false,
        }
    }

    /// The operation whose rules are asked first, of a method that becomes one plan.
    pub fn operation(self) -> Option<Operation> {
        match self {
            Method::Create | Method::CreateMany | Method::Upsert => Some(Operation::Create),
            Method::Read => Some(Operation::Read),
            Method::List | Method::FindFirst | Method::FindByField | Method::Count | Method::Aggregate => {
                Some(Operation::List)
            }
            Method::Update | Method::UpdateByField | Method::UpdateMany => Some(Operation::Update),
            Method::Delete | Method::DeleteByField | Method::DeleteMany => Some(Operation::Delete),
            Method::Transaction
            | Method::Batch
            | Method::GetCapabilities
            | Method::Explain
            | Method::Discover
            | Method::Cancel => None,
        }
    }

    /// Whether it becomes a plan, or several that are done together.
    pub fn asks_database(self) -> bool {
        self.operation().is_some() || self == Method::Transaction
    }

    /// Methods that this version answers otherwise than by 501.
    pub fn served() -> impl Iterator<Item = Self> {
        TABLE.iter().filter(|row| row.is_served).map(|row| row.method)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.method == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_line() {
        for row in TABLE {
            assert_eq!(Method::by_name(row.name), Some(row.method));
            assert_eq!(row.method.name(), row.name);
        }
        assert_eq!(TABLE.len(), 21);
    }
}
