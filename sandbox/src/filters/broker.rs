//! What only the broker needs: nothing yet. It talks over sockets that are open and one Unix socket.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
