//! Whether the audit journal is what the worker wrote: its end, in bounded time. And whether anybody but the worker vouches for it.

use std::io::ErrorKind;
use std::path::Path;

use dbal_audit::{Broken, Verified, What, verify_end};

use super::check::{Check, shell};
use super::deployment::{Broker, Deployment};
use crate::audit::status::{self, Status};

/// So much of the journal's end is read, in bytes: a second or two.
const MOST: u64 = 128 * 1024 * 1024;

/// Records that may have come and not be sealed yet: some seconds' worth.
const UNSEALED: u64 = 100_000;
/// Since the keeper last sealed all there was, in seconds; it notes it every few.
const UNSEALED_S: u64 = 300;

pub(super) fn checks(deployment: &Deployment) -> Vec<Check> {
    let folder = deployment.audit();
    let (written, last) = end("audit journal", &folder);
    let mut checks = vec![written];
    if let Ok(Broker { audit, .. }) = &deployment.broker {
        checks.push(countersigned(audit.countersign_key.is_some()));
    }
    if !deployment.is_dev {
        let kept = deployment.sealed();
        checks.push(sealed(&kept, last));
        if kept.is_dir() {
            checks.push(kept_up(&kept, status::now_s()));
        }
    }
    checks
}

/// The file itself is looked at with the others.
fn countersigned(has_key: bool) -> Check {
    let what = "countersignatures";
    if has_key {
        return Check::ok(what, "the broker has a key to countersign the journal with");
    }
    Check::warning(
        what,
        "the broker has no key: whoever takes the worker can write the journal anew, and no record says so",
        "dbal keygen --countersign -o /etc/dbal/countersign.key; chown root:dbal-broker and chmod 640 it; name it in broker.yaml as \
         `audit: {countersign_key: countersign.key}`; restart the broker",
    )
}

/// Whether what is written ends up where the worker can't reach it.
fn sealed(folder: &Path, last: Option<u64>) -> Check {
    if folder.symlink_metadata().is_err() {
        return Check::warning(
            "sealed journal",
            format!(
                "there is no {}: whoever takes the worker can spoil what it wrote before",
                folder.display()
            ),
            "systemctl enable --now dbal-audit.service; elsewhere run `dbal audit seal --follow` as a user of its own (docs/audit.md)",
        );
    }
    match (end("sealed journal", folder), last) {
        ((_, Some(kept)), Some(written)) if written.abs_diff(kept) > UNSEALED => Check::error(
            format!("sealed journal {}", folder.display()),
            format!("it ends with record {kept}, the journal with record {written}"),
            "journalctl -u dbal-audit -n 20: it says why it does not go on",
        ),
        ((sound, _), _) => sound,
    }
}

/// Whether the keeper goes on, as it says itself.
fn kept_up(folder: &Path, now_s: u64) -> Check {
    let what = "keeper of the audit journal";
    let look = "systemctl enable --now dbal-audit.service; journalctl -u dbal-audit -n 20";
    let file = folder.join(status::NAME);
    match Status::read(&file) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Check::unseen(what, "may not be looked at by you", "run `dbal doctor` as root")
        }
        Err(error) => Check::warning(
            what,
            format!("it has not said how it fares: {}: {error}", file.display()),
            look,
        ),
        Ok(Status {
            is_incident: true,
            why,
            ..
        }) => Check::error(
            what,
            why,
            "treat it as an incident: copy both folders away, `dbal audit verify` each (docs/audit.md#sealing)",
        ),
        Ok(Status {
            time_s, record, why, ..
        }) => {
            let since_s = now_s.saturating_sub(time_s);
            let why = if why.is_empty() { "it does not run" } else { &why };
            if time_s == 0 {
                Check::error(what, format!("it has never sealed all there was: {why}"), look)
            } else if since_s > UNSEALED_S {
                let minutes = since_s / 60;
                Check::error(
                    what,
                    format!("it last sealed all there was {minutes} minutes ago: {why}"),
                    look,
                )
            } else {
                Check::ok(
                    what,
                    format!("sealed all there was, up to record {record}, {since_s} s ago"),
                )
            }
        }
    }
}

/// What there is to say of a folder, and the number of its last record if it is sound.
fn end(name: &str, folder: &Path) -> (Check, Option<u64>) {
    let what = format!("{name} {}", folder.display());
    let whole = format!("dbal audit verify {}", shell(folder));
    let mut last = None;
    let check = match verify_end(folder, MOST) {
        Ok(Verified { records: 0, .. }) => Check::ok(what, "no record yet"),
        Ok(verified) => {
            last = Some(verified.last);
            let Verified {
                records, files, head, ..
            } = verified;
            Check::ok(
                what,
                format!("the last {records} records in {files} files are sound; head {head}"),
            )
        }
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
    };
    (check, last)
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;
    use dbal_audit::{Durability, Event, Journal, Outcome, Record, Sealer};

    fn write(journal: &Journal, records: u64) {
        for _ in 0..records {
            let record = Record::new(1, Event::Call, Outcome::Allowed);
            journal.append(&record).unwrap();
        }
        journal.flush().unwrap();
    }

    #[test]
    fn a_journal_for_which_nobody_but_the_worker_vouches_is_told() {
        assert_eq!(countersigned(true).verdict, Verdict::Ok);
        let told = countersigned(false);
        assert_eq!(told.verdict, Verdict::Warning);
        assert!(told.mend.unwrap().contains("dbal keygen --countersign"));
    }

    #[test]
    fn a_journal_that_is_not_sealed_or_no_more_is_told() {
        let dir = tempfile::TempDir::new().unwrap();
        let (folder, to) = (dir.path().join("dbal"), dir.path().join("dbal-sealed"));
        let journal = Journal::open(&folder, Durability::Interval).unwrap();
        write(&journal, 3);
        let look = || sealed(&to, end("audit journal", &folder).1);
        assert_eq!(look().verdict, Verdict::Warning, "{}", look().said);
        Sealer::open(&folder, &to).unwrap().look().unwrap();
        assert_eq!(look().verdict, Verdict::Ok, "{}", look().said);
        write(&journal, 5);
        assert_eq!(look().verdict, Verdict::Ok, "some seconds behind");
        write(&journal, UNSEALED);
        assert_eq!(look().verdict, Verdict::Error, "{}", look().said);
        assert!(look().said.contains("ends with record 3"), "{}", look().said);
    }

    #[test]
    fn a_keeper_that_has_ended_or_can_not_go_on_is_told_with_its_reason() {
        let dir = tempfile::TempDir::new().unwrap();
        let look = |now_s| kept_up(dir.path(), now_s);
        let now_s = status::now_s();
        assert_eq!(look(now_s).verdict, Verdict::Warning, "nothing is said");
        let (files, never) = status::Files::open(&[&dir.path().join(status::NAME)]).unwrap();
        assert_eq!(look(now_s).verdict, Verdict::Error, "never");
        files.write(&never.failing("no space left", false));
        assert!(look(now_s).said.ends_with("no space left"));
        let well = Status::well(7);
        files.write(&well);
        assert_eq!(look(now_s).verdict, Verdict::Ok);
        let late = look(now_s + 2 * UNSEALED_S);
        assert_eq!(late.verdict, Verdict::Error);
        assert_eq!(
            late.said,
            "it last sealed all there was 10 minutes ago: it does not run"
        );
        files.write(&well.failing("incident: record 7", true));
        assert_eq!(look(now_s).said, "incident: record 7");
    }
}
