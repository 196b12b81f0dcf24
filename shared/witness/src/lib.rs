//! What is signed of an audit trail: by the worker, who writes it, and by the broker, who is shown its head. No I/O, no clock.
#![forbid(unsafe_code)]

mod hex;
mod key;
mod head;
mod watch;

pub use head::{holds, sign, text};
pub use hex::{bytes, digits, write_digits};
pub use key::{KeyError, PublicKey, Signer};
pub use watch::{Backwards, Seen, Watch};
