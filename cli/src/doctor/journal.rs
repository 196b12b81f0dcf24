//! Whether the audit journal is what the worker wrote: its end, in bounded time.

use std::io::ErrorKind;
use std::path::Path;

use dbal_audit::{Broken, Verified, What, verify_end};

use super::check::{Check, shell};

/// So much of the journal's end is read, in bytes: a second or two.
const MOST: u64 = 128 * 1024 * 1024;

pub(super) fn checks(folder: &Path) -> Vec<Check> {
    let what = format!("audit journal {}", folder.display());
    let whole = format!("dbal audit verify {}", shell(folder));
    vec![match verify_end(folder, MOST) {
        Ok(Verified { records: 0, .. }) => Check::ok(what, "no record yet"),
        Ok(Verified {
            records, files, head, ..
        }) => Check::ok(
            what,
            format!("the last {records} records in {files} files are sound; head {head}"),
        ),
        Err(Broken {
            what: What::Unreadable(error),
            ..
        }) if error.kind() == ErrorKind::PermissionDenied => {
            Check::unseen(what, "may not be read by you", "run `dbal doctor` as root")
        }
        Err(Broken {
            what: What::Unreadable(error),
            ..
        }) if error.kind() == ErrorKind::NotFound => {
            Check::unseen(what, "is not there yet", "start the daemons: the worker makes it")
        }
        Err(Broken {
            what: torn @ What::Torn { .. },
            ..
        }) => Check::warning(
            what,
            format!("{torn}: it is being written, or was when the worker died"),
            "look again; the worker sets an unfinished record aside when it starts",
        ),
        Err(broken) => Check::error(
            what,
            broken.to_string(),
            format!("treat it as an incident: copy the folder away, then {whole} and docs/audit.md"),
        ),
    }]
}
