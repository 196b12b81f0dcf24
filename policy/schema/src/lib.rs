//! Entity files → `Schema`: what exists, what values are valid, and how rows look as JSON. No network, no database.
#![forbid(unsafe_code)]

pub mod source;
mod folder;
pub mod error;
pub mod report;
pub mod scalar;
pub mod yaml;
pub mod mapping;
mod caching;
mod declared;
mod declared_field;
mod declared_acl;
mod ops_file;
mod compile;
mod compile_column;
mod compile_ttl;
mod canonical;
pub mod identifier;
pub mod column_set;
pub mod column;
mod comparison;
pub mod acl;
pub mod entity;
pub mod relation;
pub mod schema;
pub mod from_json;
pub mod rules;
pub mod rows;
pub mod json_text;
mod decimal;
pub mod time;
#[cfg(test)]
mod fixture;

pub use dbal_shared::suggestion;

pub use acl::{InlineAcl, InlineGrant, InlineOperation, InlineRule, Who};
pub use caching::Caching;
pub use column::{Bound, Column, ColumnType, Generator, OnDelete, Pattern, Reference, Rules};
pub use column_set::ColumnSet;
pub use compile_column::is_name;
pub use decimal::{DECIMAL_DIGITS, canonical as canonical_decimal};
pub use entity::{Entity, Index, Ttl};
pub use error::SchemaError;
pub use identifier::Identifier;
pub use relation::{Arity, Relation};
pub use rows::Write;
pub use scalar::Scalar;
pub use schema::{Loaded, Schema};
pub use source::{Location, Source, Warning};
