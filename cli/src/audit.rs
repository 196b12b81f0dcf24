//! `dbal audit verify`: whether the trail is what the worker wrote.

use std::path::PathBuf;

use serde_json::json;

use crate::error::ToolError;

/// Verify the audit trail.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Name the first record that was changed, removed or moved; exit 1 if there is one.
    Verify {
        /// The folder that `audit.directory` names.
        folder: PathBuf,
        /// One line of JSON instead of words.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        command: Command::Verify { folder, json },
    } = options;
    let verified = match dbal_audit::verify(&folder) {
        Ok(verified) => verified,
        Err(broken) => {
            if json {
                println!(
                    "{}",
                    json!({"sound": false, "file": broken.file, "line": broken.line, "record": broken.seq, "what": broken.what.to_string()})
                );
            }
            return Err(broken.into());
        }
    };
    let dbal_audit::Verified { records, files, head } = verified;
    if json {
        println!(
            "{}",
            json!({"sound": true, "records": records, "files": files, "head": head})
        );
    } else {
        println!("sound: {records} records in {files} files");
        println!("head:  {head}");
        println!("Keep the head elsewhere: only it shows later whether records were cut off the end.");
    }
    Ok(())
}
