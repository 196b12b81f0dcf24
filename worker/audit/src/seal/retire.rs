//! What is sealed goes when its time is over and the trail itself says that it went from the journal: so nothing that is still to be
//! had elsewhere is lost, and what is left is a trail that verifies.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{SealError, Sealer};
use crate::folder::{Lines, files, first_of};
use crate::journal::{AuditError, ended_ns, remove_file};
use crate::verify::Kind;

/// How long sealed files are kept. Without an age nothing is ever removed: a number of files says nothing of time, and whoever has
/// taken the worker could have the past removed by writing much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// How long a file is kept after its last record was sealed.
    pub age: Option<Duration>,
    /// So many files are kept, whatever their age, beside the one that is written: a clock that jumps ahead makes files old.
    pub at_least: usize,
}

/// What [`Sealer::retire`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// The files that were removed, oldest first.
    pub removed: Vec<PathBuf>,
    /// So many more are past their time, and no record says that they were removed from the journal.
    pub held: usize,
}

impl Sealer {
    /// Goes by these terms from here on; without, everything stays.
    #[must_use]
    pub fn keeping(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Removes files that are past their time. Lists the folder; to be called each hour or so.
    pub fn retire(&mut self) -> Result<Retired, SealError> {
        self.retire_at(SystemTime::now())
    }

    fn retire_at(&mut self, now: SystemTime) -> Result<Retired, SealError> {
        let Some(age) = self.keep.age else {
            return Ok(Retired::default());
        };
        let folder = self.to.clone();
        let failed = |source| AuditError::Io {
            path: folder.clone(),
            source,
        };
        let all = files(&self.to).map_err(failed)?;
        let may_go = all.len().saturating_sub(1).saturating_sub(self.keep.at_least);
        let mut retired = Retired::default();
        for (path, after) in all.iter().take(may_go).zip(all.iter().skip(1)) {
            let ended = u64::try_from(ended_ns(path).map_err(failed)?).unwrap_or_default();
            let ended = UNIX_EPOCH.checked_add(Duration::from_nanos(ended));
            let is_old = ended.is_some_and(|ended| now.duration_since(ended).is_ok_and(|is| is > age));
            if !is_old {
                break;
            }
            let last = first_of(after).unwrap_or_default().saturating_sub(1);
            if retired.held > 0 || last > self.removed_to(&all)? {
                retired.held = retired.held.saturating_add(1);
                continue;
            }
            // The oldest first: what is left has no gap, wherever this ends.
            remove_file(path)?;
            retired.removed.push(path.clone());
        }
        Ok(retired)
    }

    /// The last record of which the trail says that its file was removed from the journal; 0 if it says so of none. Removals are
    /// on record in the order of what they remove, so the newest one will do.
    fn removed_to(&mut self, all: &[PathBuf]) -> Result<u64, SealError> {
        if let Some(known) = self.removed_to {
            return Ok(known);
        }
        let mut found = 0;
        for path in all.iter().rev() {
            let failed = |source| AuditError::Io {
                path: path.clone(),
                source,
            };
            let mut lines = Lines::open(path).map_err(failed)?;
            while let Some((_, line)) = lines.next().map_err(failed)? {
                if let Kind::Removed { to, .. } = Kind::of(line.strip_suffix(b"\n").unwrap_or(line)) {
                    found = found.max(to);
                }
            }
            if found > 0 {
                break;
            }
        }
        self.removed_to = Some(found);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Folders, write};
    use super::*;
    use crate::journal::{Durability, Journal, Terms};
    use crate::verify::verify;

    const DAY: Duration = Duration::from_hours(24);

    fn sealed(folders: &Folders) -> Vec<u64> {
        let all = files(&folders.to).unwrap();
        all.iter().filter_map(|path| first_of(path)).collect()
    }

    #[test]
    fn what_is_sealed_goes_when_its_time_is_over_and_the_journal_has_said_that_it_went() {
        let folders = Folders::new();
        let keep = Keep {
            age: Some(DAY),
            at_least: 1,
        };
        let later = SystemTime::now() + 2 * DAY;
        let journal = folders.journal();
        let mut sealer = folders.sealer().keeping(keep);
        for _ in 0..5 {
            write(&journal, 5);
            journal.tend().unwrap();
        }
        write(&journal, 1);
        sealer.look().unwrap();
        assert_eq!(sealed(&folders), [1, 6, 11, 16, 21, 26]);
        assert_eq!(sealer.retire().unwrap(), Retired::default(), "nothing is old");
        // All is old, and still in the journal.
        let retired = sealer.retire_at(later).unwrap();
        assert_eq!((retired.removed.len(), retired.held), (0, 4));
        drop(journal);
        let terms = Terms {
            keep_files: Some(2),
            ..Terms::default()
        };
        let journal = Journal::open(&folders.from, Durability::Interval)
            .unwrap()
            .under(terms);
        assert_eq!(journal.tend().unwrap().removed.len(), 3);
        sealer.look().unwrap();
        // Also one that was started since then knows.
        for is_again in [false, true] {
            if is_again {
                drop(sealer);
                sealer = folders.sealer().keeping(keep);
            }
            let retired = sealer.retire_at(later).unwrap();
            let removed = if is_again { 0 } else { 3 };
            assert_eq!((retired.removed.len(), retired.held), (removed, 1), "{is_again}");
            assert_eq!(sealed(&folders), [16, 21, 26]);
            assert_eq!(verify(&folders.to).unwrap().first, 16);
            assert_eq!(sealer.look().unwrap().records, 0);
        }
        let retired = sealer.keeping(Keep { at_least: 2, ..keep }).retire_at(later);
        assert_eq!(retired.unwrap().held, 0, "so many stay, however old");
    }

    #[test]
    fn without_an_age_everything_stays() {
        let folders = Folders::new();
        let journal = folders.journal();
        write(&journal, 5);
        journal.tend().unwrap();
        write(&journal, 1);
        let mut sealer = folders.sealer();
        sealer.look().unwrap();
        let never = SystemTime::now() + 100 * 365 * DAY;
        assert_eq!(sealer.retire_at(never).unwrap(), Retired::default());
        assert_eq!(sealed(&folders), [1, 6]);
    }
}
