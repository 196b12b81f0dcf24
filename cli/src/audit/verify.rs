//! `dbal audit verify`: whether the trail is what the worker wrote.

use std::path::PathBuf;

use dbal_audit::{Countersigned, Demands, PublicKey, Verified};
use serde_json::json;

use super::heads::{self, Heads};
use super::wanted::paths;
use crate::error::ToolError;
use crate::output::{self, Output};

/// Name the first record that was changed, removed or moved; exit 1 if there is one.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder that `audit.directory` names; or two, where the records are sealed: that of `dbal audit seal`, then this one.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// The public key that checkpoints are signed with, as `dbal keygen --checkpoints` printed it. Given more than once: one of them.
    #[arg(long = "key", value_name = "PUBLIC")]
    keys: Vec<PublicKey>,
    /// The public key of a broker that countersigns heads, as `dbal keygen --countersign` printed it: all that it countersigned must
    /// be there. Given more than once: one of them.
    #[arg(long = "broker-key", value_name = "PUBLIC")]
    broker_keys: Vec<PublicKey>,
    /// A head that an earlier run printed, or the log, with or without its number: this record must be there. Or a file of heads, as
    /// the broker's /audit/head tells them, one a line.
    #[arg(long, value_name = "HASH|NUMBER:HASH|FILE")]
    head: Option<Heads>,
    /// One line of JSON instead of words.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: Options) -> Result<(), ToolError> {
    let Options {
        folders,
        keys,
        broker_keys,
        head,
        json,
    } = options;
    let (hash, heads) = match head {
        None => (None, Vec::new()),
        Some(Heads::Hash(hash)) => (Some(hash), Vec::new()),
        Some(Heads::One(head)) => (None, vec![head]),
        Some(Heads::File(path)) => (None, heads::read(&path, &broker_keys)?),
    };
    let demands = Demands {
        keys: &keys,
        head: hash.as_deref(),
        heads: &heads,
        brokers: &broker_keys,
    };
    let verified = match dbal_audit::verify_across(&paths(&folders), &demands) {
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
    if verified.files == 0 {
        // Whoever took all of it away, or named another folder, is not told that it is sound.
        let what = "holds no file of an audit trail; name the folder of `audit.directory`";
        let names: Vec<String> = folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        if json {
            let said = json!({"sound": false, "file": names.first(), "line": 0, "record": 0, "what": what});
            output::line(format_args!("{said}"))?;
        }
        return Err(ToolError::Failed(format!("{} {what}", names.join(" and "))));
    }
    let mut output = Output::open();
    let Verified {
        first,
        records,
        files,
        checkpoint,
        countersigned,
        past,
        last,
        head,
    } = verified;
    if json {
        let countersigned = countersigned.map(
            |Countersigned { last, begun, longest }| json!({"last": last, "begun": begun, "longest": longest}),
        );
        output.line(
            json!({"sound": true, "records": records, "files": files, "first": first, "last": last, "head": head, "checkpoint": checkpoint, "signed": !keys.is_empty(), "countersigned": countersigned, "heads": heads.len(), "past": past}),
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
    if let Some(Countersigned {
        last: to,
        begun,
        longest,
    }) = countersigned
    {
        output.line(format_args!(
            "countersigned up to record {to}; {} after it; at most {longest} from one head to the next; the broker began {begun} times",
            last.saturating_sub(to)
        ))?;
    }
    if !heads.is_empty() {
        output.line(format_args!("{} heads were asked for and are there", heads.len()))?;
    }
    if past > 0 {
        output.line(format_args!(
            "{past} heads speak of records that were removed and can't be looked at"
        ))?;
    }
    output.line(format_args!("head:  {last}:{head}"))?;
    output.line(
        "Keep the head elsewhere: only such a head shows later whether records were cut off the end (--head).",
    )?;
    output.flush()
}
