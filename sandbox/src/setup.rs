//! From a process that may do everything to one that may do its job: `Setup::begin`, then `lock`, once.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use nix::unistd::geteuid;

use crate::landlock_steps::Landlock;
use crate::landlocked::{self, Outside};
use crate::layers::{self, Layer, State, layer};
use crate::status::Status;
use crate::{
    Locked, Mode, RunAs, SandboxError, executable, exposure, filters, inherited, limits, network, paths,
    privileges, swap,
};

/// `/proc/thread-self` would do as well: there is one thread.
const STATUS: &str = "/proc/self/status";

/// Which allow-list applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Accepts clients, talks to one Unix socket.
    Broker,
    /// Talks to the broker and the database.
    Worker {
        /// Whether the database is reached by TCP.
        network: bool,
    },
}

/// What the process will need after it is locked in.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which allow-list applies.
    pub profile: Profile,
    /// Files and folders to read.
    pub read: Vec<PathBuf>,
    /// Folders to read and write, and to make and remove files in.
    pub write: Vec<PathBuf>,
    /// TCP ports to connect to.
    pub connect_ports: Vec<u16>,
    /// Leave the network, where the kernel lets it: listeners that are open go on accepting, nothing new can be reached.
    /// Without root, peers of other users look like user 65534 afterwards (docs/sandbox.md).
    pub leave_network: bool,
    /// Who to become, when started as root.
    pub run_as: Option<RunAs>,
}

/// A process with one thread that hasn't been locked in yet. What needs a right (bind, read a key) borrows it.
#[derive(Debug)]
pub struct Setup {
    /// Whether the filters of the first phase are loaded.
    starting: State,
}

impl Setup {
    /// First thing in `main`, before a secret is read, and so before it is known what mode the configuration asks for. From here on
    /// nothing can be executed, traced or started beside it.
    pub fn begin() -> Result<Self, SandboxError> {
        must_have_one_thread()?;
        exposure::hide().map_err(failed("hide the process's memory"))?;
        limits::lower().map_err(failed("lower the process's limits"))?;
        executable::forbid_gain();
        // Seccomp asks for it where the process is not root.
        privileges::forbid_new().map_err(failed("set no_new_privs"))?;
        let starting = match filters::compile_starting()?.apply() {
            Ok(()) => State::InForce,
            // Told, and refused by strict, with all the rest that is missing.
            Err(error) => State::Missing(error.to_string()),
        };
        Ok(Self { starting })
    }

    /// Closes every descriptor that was left open for the process, but for the standard streams, those of `kept` (the ones that its
    /// command line names) and the listeners of LISTEN_FDS.
    pub fn keep_only(&self, kept: &[RawFd]) -> Result<(), SandboxError> {
        let handed_over = inherited::handed_over();
        inherited::close_all_but(|number| kept.contains(&number) || handed_over.contains(&number))
            .map_err(|source| SandboxError::Inherited { source })
    }

    /// After everything is open, and before the second thread and the first outside byte.
    ///
    /// In strict mode a layer that doesn't hold is an error; in permissive mode it is told in the result. A path that
    /// isn't there, and a user that can't be become, are errors in every mode.
    ///
    /// [`Mode::Off`] opens the process to debuggers again. What `begin` did besides stays: none of it can be taken back.
    pub fn lock(self, mode: Mode, rules: &Rules) -> Result<Locked, SandboxError> {
        let Rules {
            profile,
            read: _,
            write,
            connect_ports,
            leave_network,
            run_as,
        } = rules;
        if mode == Mode::Off {
            if let Some(run_as) = run_as {
                run_as.become_it()?;
            }
            exposure::show().map_err(failed("open the process to debuggers"))?;
            return Ok(Locked::new(all_off(), Landlock::Off));
        }
        must_have_one_thread()?;
        let began_as_root = geteuid().is_root();
        let kept = paths::open(rules)?;
        let filters = filters::compile(*profile)?;

        let unswapped = swap::is_out_of_reach();
        // Needs CAP_SYS_ADMIN or a user namespace, so it comes while there are rights left.
        let network = leave_network.then(network::leave);

        // Needs CAP_SETPCAP, which goes with root.
        privileges::empty_bounding_set();
        if let Some(run_as) = run_as {
            run_as.become_it()?;
        }
        paths::must_be_writable(write)?;
        privileges::empty_acting_sets().map_err(|error| SandboxError::Privileges {
            step: "drop the capabilities",
            source: io::Error::other(error),
        })?;
        // Changing the user made the process dumpable again, as far as the system's default goes.
        exposure::hide().map_err(failed("hide the process's memory"))?;

        // Opened before landlock closes /proc, read after seccomp closed the rest.
        let status = File::open(STATUS).map_err(status_failed)?;
        let outside = Outside::prepare();
        let landlock = landlocked::restrict(kept, connect_ports);
        let mut read_back = vec![
            network_layer(network),
            layer("not_dumpable", exposure::is_hidden(), || {
                "the kernel says it is dumpable".to_owned()
            }),
            layer("no_core", exposure::has_no_core(), || {
                "the limit for core files is not 0".to_owned()
            }),
        ];
        for (name, state) in [
            ("not_swapped", unswapped),
            ("limits", limits::hold()),
            ("write_xor_execute", executable::gain_is_forbidden()),
            ("landlock_files", landlocked::files()),
            (
                "landlock_truncate",
                landlocked::by_abi(&landlock, "landlock_truncate"),
            ),
            ("landlock_tcp", landlocked::tcp()),
            (
                "landlock_devices",
                landlocked::by_abi(&landlock, "landlock_devices"),
            ),
            ("landlock_scopes", outside.scopes()),
            ("seccomp_start", self.starting),
        ] {
            read_back.push(Layer { name, state });
        }
        drop(outside);

        let filtered = filters.apply();
        let status = Status::read(&status).map_err(status_failed)?;
        read_back.extend(layers::of_status(&status));
        read_back.push(refusal_layer(filtered));

        if mode == Mode::Strict {
            must_hold(&read_back, began_as_root)?;
        }
        Ok(Locked::new(read_back, landlock))
    }
}

/// Refuses to go on unless every layer holds, but for what this kernel or user can't have and others make up for.
fn must_hold(layers: &[Layer], began_as_root: bool) -> Result<(), SandboxError> {
    let missing: Vec<Layer> = layers
        .iter()
        .filter(|layer| match layer.name {
            // Without CAP_SETPCAP it can't be emptied, and under no_new_privs it gives nothing.
            "bounding_set" => began_as_root,
            // The kernel may not let it leave (a container, a laptop that forbids user namespaces): landlock and the filter keep
            // TCP from the process as well. Later kernels than strict asks for: without scopes the filter keeps signals to
            // itself, no device can be opened, and the filter keeps memory from being executed. The machine's swap may be
            // encrypted, and only its operator knows.
            "network_left" | "landlock_scopes" | "landlock_devices" | "write_xor_execute" | "not_swapped" => {
                false
            }
            _ => true,
        })
        .filter(|layer| matches!(layer.state, State::Missing(_)))
        .cloned()
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(SandboxError::Missing { missing })
    }
}

fn network_layer(left: Option<Result<(), String>>) -> Layer {
    let state = match left {
        None => State::Off,
        Some(Ok(())) => State::InForce,
        Some(Err(why)) => State::Missing(why),
    };
    Layer {
        name: "network_left",
        state,
    }
}

/// A call that the filters answer themselves: its answer shows that they, and no other filters, are loaded.
fn refusal_layer(filtered: Result<(), SandboxError>) -> Layer {
    let answer = env::current_dir().map_err(|error| error.raw_os_error());
    let holds = filtered.is_ok() && answer == Err(Some(filters::PROBE_ANSWER));
    layer("seccomp_probe", holds, || match filtered {
        Err(error) => format!("{error}"),
        Ok(()) => "a call that must be refused was answered otherwise".to_owned(),
    })
}

fn all_off() -> Vec<Layer> {
    ["landlock_files", "landlock_tcp", "landlock_scopes", "seccomp"]
        .map(|name| Layer {
            name,
            state: State::Off,
        })
        .into()
}

fn must_have_one_thread() -> Result<(), SandboxError> {
    let file = File::open(STATUS).map_err(status_failed)?;
    match Status::read(&file).map_err(status_failed)?.threads {
        1 => Ok(()),
        count => Err(SandboxError::Threads { count }),
    }
}

fn status_failed(source: io::Error) -> SandboxError {
    SandboxError::Status {
        path: PathBuf::from(STATUS),
        source,
    }
}

fn failed(step: &'static str) -> impl Fn(nix::Error) -> SandboxError {
    move |error| SandboxError::Privileges {
        step,
        source: io::Error::from(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test runner has a thread for each test and one of its own.
    #[test]
    fn a_process_with_a_second_thread_is_not_locked_in() {
        let refused = Setup::begin().unwrap_err();
        assert!(
            matches!(refused, SandboxError::Threads { count: 2.. }),
            "{refused}"
        );
    }

    #[test]
    fn off_says_off_and_lets_debuggers_in_again() {
        let rules = Rules {
            profile: Profile::Broker,
            read: vec![PathBuf::from("/no/such/folder")],
            write: Vec::new(),
            connect_ports: Vec::new(),
            leave_network: true,
            run_as: None,
        };
        exposure::hide().unwrap();
        // What `begin` makes; it would lock the whole test runner in.
        let begun = Setup {
            starting: State::InForce,
        };
        let locked = begun.lock(Mode::Off, &rules).unwrap();
        assert!(locked.layers().iter().all(|layer| layer.state == State::Off));
        assert!(!exposure::is_hidden());
    }

    #[test]
    fn strict_tells_all_that_is_missing_at_once_and_forgives_what_others_make_up_for() {
        let missing = |name| layer(name, false, || "why".to_owned());
        let layers = [
            missing("seccomp"),
            missing("network_left"),
            missing("landlock_scopes"),
            missing("bounding_set"),
            missing("landlock_tcp"),
        ];
        let told = |as_root| must_hold(&layers, as_root).unwrap_err().to_string();
        assert_eq!(
            told(false),
            "`security.sandbox` is strict, but seccomp: why; landlock_tcp: why"
        );
        assert!(told(true).contains("bounding_set"));
    }
}
