//! Whether a password proof must be bound to the server's certificate, in libpq's words (RFC 5929, `tls-server-end-point`).

use serde::Deserialize;

/// Whether the proof is bound, so that it is worth nothing to whoever stands between with another certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where TLS is used and the server offers it.
    #[default]
    Prefer,
    /// Always: a server that does not ask for a proof that is bound is refused.
    Require,
}

impl ChannelBinding {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            ChannelBinding::Disable => "disable",
            ChannelBinding::Prefer => "prefer",
            ChannelBinding::Require => "require",
        }
    }
}
