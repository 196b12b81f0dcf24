//! The layers of confinement, as the kernel tells them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::SandboxError;
use crate::landlock_steps::Landlock;
use crate::status::Status;

/// One layer of confinement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name, as `/health` and `dbal sandbox status` print it.
    pub name: &'static str,
    /// Whether it holds.
    pub state: State,
}

/// Whether a layer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The kernel says so.
    InForce,
    /// It should, and doesn't; why.
    Missing(String),
    /// Not asked for.
    Off,
}

/// Proof that the process locked itself in as far as its mode demands. `serve` asks for it.
#[derive(Clone, Debug)]
pub struct Locked {
    layers: Vec<Layer>,
    landlock: Landlock,
}

impl Locked {
    pub(crate) fn new(layers: Vec<Layer>, landlock: Landlock) -> Self {
        Self { layers, landlock }
    }

    /// What was read back from the kernel after the last step.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Which landlock is in use, or why there is none.
    pub fn landlock(&self) -> &Landlock {
        &self.landlock
    }
}

/// What `/proc/<pid>/status` says of another process: a layer holds if it holds for each of its threads.
///
/// Landlock, the limits and the network namespace don't stand there; the process itself probed them when it started.
pub fn read_back(pid: u32) -> Result<Vec<Layer>, SandboxError> {
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SandboxError::Status { path, source }
    };
    let mut found: Option<Vec<Layer>> = None;
    for task in fs::read_dir(&tasks).map_err(failed(&tasks))? {
        let path = task.map_err(failed(&tasks))?.path().join("status");
        let status = match File::open(&path).and_then(|file| Status::read(&file)) {
            // A thread that ended meanwhile says nothing about the others.
            Err(error) if is_gone(&error) => continue,
            other => other.map_err(failed(&path))?,
        };
        let layers = of_status(&status);
        found = Some(match found {
            None => layers,
            Some(before) => before.into_iter().zip(layers).map(weaker).collect(),
        });
    }
    found.ok_or_else(|| failed(&tasks)(io::Error::from(io::ErrorKind::NotFound)))
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn weaker((left, right): (Layer, Layer)) -> Layer {
    if left.state == State::InForce { right } else { left }
}

/// The layers that a status tells of.
pub(crate) fn of_status(status: &Status) -> Vec<Layer> {
    let Status {
        uids,
        gids,
        groups,
        threads: _,
        acting,
        bounding,
        no_new_privs,
        seccomp,
    } = status;
    let is_root = |ids: &[u32]| ids.contains(&0);
    vec![
        layer(
            "user",
            !is_root(uids) && !is_root(gids) && !is_root(groups),
            || "it runs as root; set `security.run_as`, or start it as an ordinary user".to_owned(),
        ),
        layer("no_new_privs", *no_new_privs == 1, || {
            "the kernel says 0".to_owned()
        }),
        layer("capabilities", acting.iter().all(|set| *set == 0), || {
            format!("inheritable, permitted, effective, ambient are {acting:x?}")
        }),
        layer("bounding_set", *bounding == Some(0), || {
            format!(
                "it is {:x}: only root can empty it; without effect under no_new_privs",
                bounding.unwrap_or(u64::MAX)
            )
        }),
        layer("seccomp", *seccomp == 2, || {
            format!("the kernel says mode {seccomp}, not 2 (filter)")
        }),
    ]
}

/// A layer that holds, or why it doesn't.
pub(crate) fn layer(name: &'static str, holds: bool, why_not: impl FnOnce() -> String) -> Layer {
    let state = if holds {
        State::InForce
    } else {
        State::Missing(why_not())
    };
    Layer { name, state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlocked_process_is_told_as_such() {
        let layers = read_back(std::process::id()).unwrap();
        let state = |name| {
            layers
                .iter()
                .find(|layer| layer.name == name)
                .map(|layer| &layer.state)
        };
        assert!(matches!(state("seccomp"), Some(State::Missing(_))));
        assert!(matches!(state("no_new_privs"), Some(State::Missing(_))));
    }

    #[test]
    fn one_free_thread_is_enough_to_call_a_layer_missing() {
        let held = || layer("seccomp", true, String::new);
        let free = || layer("seccomp", false, || "free".to_owned());
        for (left, right) in [(held(), free()), (free(), held())] {
            assert_eq!(weaker((left, right)).state, State::Missing("free".to_owned()));
        }
        assert_eq!(weaker((held(), held())).state, State::InForce);
    }
}
