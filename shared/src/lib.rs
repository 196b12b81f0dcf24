//! What broker and worker agree on: ids, values, plans, messages, limits and the frame codec. No I/O, no clock.
#![forbid(unsafe_code)]

pub mod limits;
pub mod ids;
pub mod json;
pub mod value;
pub mod predicate;
pub mod plan;
pub mod operands;
pub mod terms;
pub mod fault;
pub mod principal;
pub mod trace;
pub mod message;
mod wire;
pub mod codec;
pub mod frame;
pub mod suggestion;
pub mod causes;
pub mod address;
