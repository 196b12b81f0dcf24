//! `dbal keygen`: a new age identity, and whom to seal for.

use std::path::PathBuf;

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::error::ToolError;
use crate::files;

/// Make an age identity for sealed configuration.
///
/// Who holds it can open what `dbal config encrypt` sealed for its recipient.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to put the identity (mode 600). Without it, it is printed.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options { output } = options;
    let keys = dbal_config::keygen();
    let text = Zeroizing::new(format!(
        "# recipient: {}\n{}\n",
        keys.recipient,
        keys.identity.expose_secret()
    ));
    match output {
        Some(path) => {
            files::write_new(&path, text.as_bytes(), files::PRIVATE)?;
            println!("{}", keys.recipient);
        }
        None => print!("{}", text.as_str()),
    }
    Ok(())
}
