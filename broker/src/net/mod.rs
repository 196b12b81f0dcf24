//! Socket, TLS, HTTP upgrade, WebSocket: bytes → text messages.

mod address;

pub use address::prefix;
