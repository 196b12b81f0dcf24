//! Tells when files of keys have changed, by looking at them now and then: what they were when they were read, and what they
//! are. (inotify would take system calls that the sandbox has no other use for, and misses folders that are swapped by a link.)

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How often to look. A change is taken up after one to two of them.
pub const PAUSE: Duration = Duration::from_secs(2);

/// What some files looked like at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints(Vec<(PathBuf, Look)>);

/// What a look at a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It is there.
    Found(Fingerprint),
    /// It is not there; it may be later.
    Missing,
    /// Nobody let us look. That says nothing of the file: a process that has become another user may not look where it looked
    /// before, and is told why when it is asked to read again.
    Refused,
}

/// A file that is replaced has another number; one that is rewritten has another time, even if its writer turns back the
/// clock of the content (`ctime` is the kernel's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    number: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Decides when to read again. It does not look itself: looking may block.
#[derive(Debug)]
pub struct Watch {
    taken: Fingerprints,
    seen: Fingerprints,
}

impl Fingerprints {
    /// Looks at the files. Take it before reading them: a change in between is then noticed later, not missed.
    pub fn of(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|file| (file.clone(), look(file))).collect())
    }

    /// The same, with what could not be looked at as it was before.
    fn or_as_in(mut self, before: &Self) -> Self {
        for (now, (_, earlier)) in self.0.iter_mut().zip(&before.0) {
            if now.1 == Look::Refused {
                now.1 = *earlier;
            }
        }
        self
    }

    /// The files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(file, _)| file.clone()).collect()
    }
}

impl Watch {
    /// The files as they were before they were read.
    pub fn new(taken: Fingerprints) -> Self {
        Self {
            seen: taken.clone(),
            taken,
        }
    }

    /// The files whose looks matter.
    pub fn files(&self) -> Vec<PathBuf> {
        self.taken.files()
    }

    /// Notes what they look like now. True when they are to be read again: they differ from what was read last, and no longer
    /// change, so that nobody is still writing them.
    pub fn note(&mut self, now: Fingerprints) -> bool {
        let now = now.or_as_in(&self.taken);
        let is_settled = now == self.seen;
        self.seen = now;
        let is_other = is_settled && self.seen != self.taken;
        if is_other {
            // Also if they turn out to be bad: once is enough to say so.
            self.taken.clone_from(&self.seen);
        }
        is_other
    }

    /// They were read for another reason, when they looked like this.
    pub fn reset(&mut self, taken: Fingerprints) {
        *self = Self::new(taken);
    }
}

fn look(file: &PathBuf) -> Look {
    match fs::metadata(file) {
        Ok(about) => Look::Found(Fingerprint {
            device: about.dev(),
            number: about.ino(),
            bytes: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Look::Missing,
        Err(_) => Look::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("a"), folder.path().join("b")];
        fs::write(&files[0], "1").unwrap();
        let look = || Fingerprints::of(&files);
        let mut watch = Watch::new(look());
        assert!(!watch.note(look()) && !watch.note(look()), "nothing has changed");
        fs::write(&files[0], "22").unwrap();
        assert!(!watch.note(look()), "perhaps it is still being written");
        fs::write(&files[0], "333").unwrap();
        assert!(!watch.note(look()), "it was");
        assert!(watch.note(look()));
        assert!(!watch.note(look()), "once");
        // A file that comes, one that is replaced, one that goes.
        fs::write(&files[1], "1").unwrap();
        assert!(!watch.note(look()) && watch.note(look()));
        let new = folder.path().join("new");
        fs::write(&new, "1").unwrap();
        fs::rename(&new, &files[1]).unwrap();
        assert!(!watch.note(look()) && watch.note(look()));
        fs::remove_file(&files[1]).unwrap();
        assert!(!watch.note(look()) && watch.note(look()));
        // What was read meanwhile is not read again.
        fs::write(&files[0], "4444").unwrap();
        watch.reset(look());
        assert!(!watch.note(look()) && !watch.note(look()));
    }

    #[test]
    fn what_can_not_be_looked_at_has_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, aside) = (folder.path().join("inner"), folder.path().join("aside"));
        fs::create_dir(&inner).unwrap();
        let files = [inner.join("a")];
        fs::write(&files[0], "1").unwrap();
        let look = || Fingerprints::of(&files);
        let mut watch = Watch::new(look());
        // For root, too: no way leads through a file.
        fs::rename(&inner, &aside).unwrap();
        fs::write(&inner, "").unwrap();
        assert_eq!(look().0[0].1, Look::Refused);
        assert!(!watch.note(look()) && !watch.note(look()) && !watch.note(look()));
        fs::remove_file(&inner).unwrap();
        fs::rename(&aside, &inner).unwrap();
        assert!(!watch.note(look()) && !watch.note(look()), "it is as it was");
        fs::write(&files[0], "22").unwrap();
        assert!(!watch.note(look()) && watch.note(look()));
    }
}
