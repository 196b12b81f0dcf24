//! Parameters as they came: by position or by name, believed in nothing but their shape.

use dbal_shared::json::Json;

/// Parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Params {
    /// By position; none given is the same as an empty list.
    Positional(Vec<Json>),
    /// By name.
    Named(Vec<(String, Json)>),
}
