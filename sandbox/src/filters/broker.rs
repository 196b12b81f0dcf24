//! What only the broker needs: the options and addresses of its clients' sockets.

use libc::{IPPROTO_TCP, TCP_NODELAY};

use super::rule::{Check::Is, Rule, permit};

#[rustfmt::skip] // A table: one line for each call.
pub(super) const RULES: &[Rule] = &[
    permit!(SYS_setsockopt, [Is(1, IPPROTO_TCP), Is(2, TCP_NODELAY)], "latency"),
    permit!(SYS_getsockname, "log"),
];
