//! What they want: `RawRequest` → `Plan`, wanted. A crate of its own, without sockets, so that the operator's tool
//! understands a call just as the broker does.

pub use dbal_call::{
    Call, Member, Meta, Method, Params, Together, Wanted, batch, capabilities, count, discover, interpret,
};

#[cfg(test)]
mod tests;
