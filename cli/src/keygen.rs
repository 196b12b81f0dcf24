//! `dbal keygen`: a new age identity, and whom to seal for; or a key that signs the audit trail, or seals cursors.

use std::path::PathBuf;

use dbal_audit::Signer;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::error::ToolError;
use crate::files;
use crate::output;

/// Make an age identity for sealed configuration.
///
/// Who holds it can open what `dbal config encrypt` sealed for its recipient.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to put the identity (mode 600). Without it, it is printed.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Make a key that signs checkpoints of the audit trail instead: the secret is for the worker's `audit.checkpoint_key`, the
    /// public key for `dbal audit verify --key`.
    #[arg(long, conflicts_with_all = ["countersign", "cursors"])]
    checkpoints: bool,
    /// Make a key that countersigns heads of the audit trail: the file is for the broker's `audit.countersign_key`, the public
    /// key for `dbal audit verify --broker-key`.
    #[arg(long, conflicts_with = "cursors")]
    countersign: bool,
    /// Make a key that seals cursors instead, for the worker's `cursor_keys`: with the same one in several workers, or over a
    /// restart, lists go on where they were.
    #[arg(long)]
    cursors: bool,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        output,
        checkpoints,
        countersign,
        cursors,
    } = options;
    let (public, text) = if cursors {
        let key = Zeroizing::new(Signer::generate()?);
        (
            "a key of cursors".to_owned(),
            Zeroizing::new(format!("{}\n", *key)),
        )
    } else if checkpoints || countersign {
        audit_key()?
    } else {
        let keys = dbal_config::keygen();
        let text = Zeroizing::new(format!(
            "# recipient: {}\n{}\n",
            keys.recipient,
            keys.identity.expose_secret()
        ));
        (keys.recipient.to_string(), text)
    };
    match output {
        Some(path) => {
            files::write_new(&path, text.as_bytes(), files::PRIVATE)?;
            output::line(format_args!("{public}"))
        }
        None => output::print(text.as_str()),
    }
}

/// A key that signs the audit trail: the public one, and both as a file has them.
pub(crate) fn audit_key() -> Result<(String, Zeroizing<String>), ToolError> {
    let secret = Zeroizing::new(Signer::generate()?);
    let public = Signer::new(&secret)?.public().to_string();
    let text = Zeroizing::new(format!("# public: {public}\n{}\n", *secret));
    Ok((public, text))
}
