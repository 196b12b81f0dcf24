//! How much must hold before the process may serve.

use std::str::FromStr;

/// `security.sandbox` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse to start when a layer is missing.
    Strict,
    /// Start, and say in the log and in `/health` what is missing.
    Permissive,
    /// Lock nothing, and let debuggers in again; never for a service.
    Off,
}

/// The text is none of the three modes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is no sandbox mode; `strict`, `permissive` and `off` are")]
pub struct UnknownMode {
    got: String,
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text {
            "strict" => Ok(Self::Strict),
            "permissive" => Ok(Self::Permissive),
            "off" => Ok(Self::Off),
            got => Err(UnknownMode { got: got.to_owned() }),
        }
    }
}
