//! Socket, TLS, HTTP upgrade, WebSocket: bytes → text messages.

pub mod address;
pub mod tls;
pub mod client_certificate;
mod standing;
pub mod client_stream;
pub mod drain;
pub mod upgrade;
pub mod http;
pub mod close;
pub mod intake;
pub mod long;
mod patience;
pub mod connection;
pub mod listen;

pub use dbal_shared::address::prefix;
