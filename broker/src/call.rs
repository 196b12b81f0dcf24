//! What they want: `RawRequest` → `Plan`, wanted. A crate of its own, without sockets, so that the operator's tool
//! understands a call just as the broker does.

pub use dbal_call::{
    Call, Explained, Hearer, Member, Meta, Method, Params, Together, Wanted, batch, capabilities, count,
    discover, explained, granted, interpret, judge, known, name_fields, refused, refused_columns, trace,
};

#[cfg(test)]
mod tests;
