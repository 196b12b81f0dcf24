//! How one daemon is started: its arguments, and the descriptors it inherits. Nothing else passes from parent to child.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::error::ToolError;

/// Variables by which a service manager speaks to *us*; a child that saw them would answer in our name.
const SERVICE_MANAGERS_OWN: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// One of the two daemons and what it needs to start.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// `dbal-broker` or `dbal-worker`.
    pub(crate) name: &'static str,
    /// Its file.
    pub(crate) program: PathBuf,
    /// Its configuration.
    pub(crate) config: PathBuf,
    /// The age identity: opened here, read there.
    pub(crate) identity: Option<PathBuf>,
    /// Where that goes which it prints.
    pub(crate) prints: Prints,
}

/// Where spans go, if they are wanted (docs/tracing.md): a daemon prints nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prints {
    /// Our standard output.
    ToStdout,
    /// Where its log goes: on our standard output is something of our own.
    ToStderr,
}

/// A started daemon.
#[derive(Debug)]
pub(crate) struct Started {
    /// The process; killed when dropped.
    pub(crate) process: Child,
    // Held, not written: when this process ends, however it ends, the daemon reads the end of the pipe and ends too.
    _lifeline: PipeWriter,
}

impl Daemon {
    /// Starts it; through the pipe it tells, in one line, that it serves.
    pub(crate) fn start(&self) -> Result<(Started, pipe::Receiver), ToolError> {
        let identity = match &self.identity {
            Some(path) => Some(File::open(path).map_err(|source| ToolError::file(path, source))?),
            None => None,
        };
        self.spawn(identity.map(OwnedFd::from))
            .map_err(|source| ToolError::Spawn {
                name: self.name,
                source,
            })
    }

    fn spawn(&self, identity: Option<OwnedFd>) -> io::Result<(Started, pipe::Receiver)> {
        let (ready, ready_there) = io::pipe()?;
        let (lifeline_there, lifeline) = io::pipe()?;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config);
        // INVARIANT: this process has one thread and starts one child at a time, so between here and the end of this
        // function no other child can inherit these.
        command.arg("--ready-fd").arg(inheritable(&ready_there)?);
        command.arg("--lifeline-fd").arg(inheritable(&lifeline_there)?);
        if let Some(identity) = &identity {
            command.arg("--identity-fd").arg(inheritable(identity)?);
        }
        for name in SERVICE_MANAGERS_OWN {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::null())
            .stdout(match self.prints {
                Prints::ToStdout => Stdio::inherit(),
                Prints::ToStderr => io::stderr().as_fd().try_clone_to_owned()?.into(),
            })
            .kill_on_drop(true)
            // A group of its own: Ctrl-C is for the supervisor, which ends the daemons in order.
            .process_group(0);
        let ready = pipe::Receiver::from_owned_fd(ready.into())?;
        let started = Started {
            process: command.spawn()?,
            _lifeline: lifeline,
        };
        Ok((started, ready))
    }
}

/// Closes what this process has inherited beyond its standard streams, so that no child inherits it in turn.
///
/// INVARIANT: called first of all, when every further descriptor is somebody else's; see closefrom(2).
pub(crate) fn close_inherited() {
    let numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // One of them was the listing's own and is closed already.
        let _ = nix::unistd::close(number);
    }
}

/// Lets the next child inherit this descriptor; returns its number as an argument.
fn inheritable(descriptor: &impl AsFd) -> io::Result<OsString> {
    let descriptor = descriptor.as_fd();
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(descriptor.as_raw_fd().to_string().into())
}

/// The program that stands beside this one.
pub(crate) fn beside(name: &'static str) -> Result<PathBuf, ToolError> {
    let own =
        std::env::current_exe().map_err(|source| ToolError::file(Path::new("/proc/self/exe"), source))?;
    let program = own.with_file_name(name);
    if program.is_file() {
        Ok(program)
    } else {
        Err(ToolError::NoDaemon { name, beside: own })
    }
}
