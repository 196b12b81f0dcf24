//! Whether the clock can be right: tokens, certificates and the audit go by it.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::check::Check;
use super::told::told;

/// 2026-01-01: this program is no older.
const WRITTEN_S: u64 = 1_767_225_600;
/// A file may be so much younger than now: another machine's clock made it.
const AHEAD: Duration = Duration::from_hours(1);

/// `files` are those of the deployment: none of them can have been written in the future.
pub(super) fn checks(files: &[&Path], now: SystemTime, is_dev: bool) -> Vec<Check> {
    let mut checks = vec![plausible(files, now)];
    // What one machine signs and checks by itself goes by one clock, right or wrong.
    if !is_dev {
        checks.push(synchronised());
    }
    checks
}

fn plausible(files: &[&Path], now: SystemTime) -> Check {
    let what = "clock";
    let mend = "timedatectl set-ntp true, or set it: timedatectl set-time '2026-01-31 12:00:00'";
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if seconds < WRITTEN_S {
        return Check::error(
            what,
            "is before this program was written: no token is valid",
            mend,
        );
    }
    let latest = files
        .iter()
        .filter_map(|path| Some((fs::metadata(path).ok()?.modified().ok()?, path)))
        .max();
    match (latest, now.checked_add(AHEAD)) {
        (Some((modified, path)), Some(limit)) if modified > limit => Check::warning(
            what,
            format!(
                "{} was written in the future: the clock is wrong, or was",
                path.display()
            ),
            mend,
        ),
        _ => Check::ok(what, "agrees with the files"),
    }
}

fn synchronised() -> Check {
    let what = "time synchronisation";
    // systemd-timedated tells of timesyncd; the kernel's own flag, which it reads, is set by chrony and ntpd as well.
    let timedatectl = told("timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
    let chrony = || told("chronyc", &["-n", "waitsync", "1"]);
    match timedatectl.as_deref().map(str::trim) {
        Some("yes") => Check::ok(what, "synchronised (timedatectl)"),
        Some("no") => Check::warning(
            what,
            "the clock is not synchronised: tokens are refused once it is off by more than `leeway_s`",
            "timedatectl set-ntp true; or install chrony",
        ),
        _ if chrony().is_some() => Check::ok(what, "synchronised (chrony)"),
        _ => Check::unseen(
            what,
            "neither timedatectl nor chronyc answers here; in a container the host keeps the clock",
            "ask on the host: timedatectl, or chronyc tracking",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn a_clock_that_lies_behind_files_or_this_program_is_told() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "").unwrap();
        let now = SystemTime::now();
        let day = Duration::from_hours(24);
        assert_eq!(plausible(&[&path], now).verdict, Verdict::Ok);
        assert_eq!(plausible(&[], now).verdict, Verdict::Ok);
        let early = now.checked_sub(day).unwrap();
        assert_eq!(plausible(&[&path], early).verdict, Verdict::Warning);
        assert_eq!(plausible(&[], SystemTime::UNIX_EPOCH).verdict, Verdict::Error);
    }
}
