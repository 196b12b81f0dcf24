//! `dbal audit verify`: whether the trail is what the worker wrote.

use std::path::PathBuf;

use dbal_audit::{Demands, PublicKey, Verified};
use serde_json::json;

use crate::error::ToolError;
use crate::output::{self, Output};

/// Name the first record that was changed, removed or moved; exit 1 if there is one.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder that `audit.directory` names.
    folder: PathBuf,
    /// The public key that checkpoints are signed with, as `dbal keygen --checkpoints` printed it. Given more than once: one of them.
    #[arg(long = "key", value_name = "PUBLIC")]
    keys: Vec<PublicKey>,
    /// A head that an earlier run printed, or the log: a record with this hash must be there.
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    /// One line of JSON instead of words.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        folder,
        keys,
        head,
        json,
    } = options;
    let demands = Demands {
        keys: &keys,
        head: head.as_deref(),
    };
    let verified = match dbal_audit::verify_as(&folder, &demands) {
        Ok(verified) => verified,
        Err(broken) => {
            if json {
                output::line(format_args!(
                    "{}",
                    json!({"sound": false, "file": broken.file, "line": broken.line, "record": broken.seq, "what": broken.what.to_string()})
                ))?;
            }
            return Err(broken.into());
        }
    };
    let mut output = Output::open();
    let Verified {
        first,
        records,
        files,
        checkpoint,
        last,
        head,
    } = verified;
    if json {
        output.line(
            json!({"sound": true, "records": records, "files": files, "first": first, "last": last, "head": head, "checkpoint": checkpoint, "signed": !keys.is_empty()}),
        )?;
        return output.flush();
    }
    output.line(format_args!("sound: {records} records in {files} files"))?;
    if first > 1 {
        output.line(format_args!(
            "records 1 to {} were removed, as a record says",
            first.saturating_sub(1)
        ))?;
    }
    match checkpoint {
        Some(checkpoint) if !keys.is_empty() => output.line(format_args!(
            "signed up to record {checkpoint}; {} after it",
            last.saturating_sub(checkpoint)
        ))?,
        Some(_) => output.line("signatures were not looked at: give --key")?,
        None => {}
    }
    output.line(format_args!("head:  {head}"))?;
    output.line(
        "Keep the head elsewhere: only it shows later whether records were cut off the end (--head).",
    )?;
    output.flush()
}
