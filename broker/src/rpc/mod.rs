//! Both JSON-RPC dialects: text → `RawRequest`. Nothing is believed yet but the shape.

mod dialect;
mod message;
mod request;

pub use dialect::{Dialect, Id};
pub use message::{Message, Unanswerable};
pub use request::{Auth, RawRequest};
