//! How much of TLS must hold towards a database server, in libpq's words.

use serde::Deserialize;

/// How much of TLS must hold: libpq's words, with `_` or, as libpq has them, with `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it; whoever stands between can take it away.
    Prefer,
    /// TLS, with whoever answers; with `ca_file` as `verify_ca`.
    Require,
    /// TLS with a server whose certificate an authority of `ca_file` has signed.
    #[serde(alias = "verify-ca")]
    VerifyCa,
    /// That, and the certificate is for the host's name.
    #[serde(alias = "verify-full")]
    #[default]
    VerifyFull,
}

impl SslMode {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify_ca",
            SslMode::VerifyFull => "verify_full",
        }
    }

    /// Whether there must be authorities to check against.
    pub(crate) fn is_verifying(self) -> bool {
        match self {
            SslMode::Disable | SslMode::Prefer | SslMode::Require => false,
            SslMode::VerifyCa | SslMode::VerifyFull => true,
        }
    }
}
