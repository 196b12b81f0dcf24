//! How one daemon is started: its arguments, and the descriptors it inherits. Nothing else passes from parent to child.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::error::ToolError;

/// What a daemon is told of our environment: it reads no other variable, and others may hold secrets, change what the loader loads,
/// or be a service manager's words to *us*, which a child would answer in our name (NOTIFY_SOCKET, LISTEN_FDS, …).
const PASSED_ON: [&str; 4] = ["JOURNAL_STREAM", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "TZ"];
/// glibc gives memory of one size out quickly as long as a thread has some of it in its own cache, of which it keeps seven pieces. Calls
/// that are answered together free and take thirty of each. Some 4 MiB at most for a thread; musl knows no such variable.
const ALLOCATOR: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=127");
/// The same for the worker alone: where systemd puts the age identity.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

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
        let own = (self.name == "dbal-worker").then_some(CREDENTIALS);
        let passed = PASSED_ON.into_iter().chain(own);
        let passed = passed.filter_map(|name| Some((name, std::env::var_os(name)?)));
        command.env_clear().env(ALLOCATOR.0, ALLOCATOR.1).envs(passed);
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

/// Closes what this process has inherited beyond its standard streams, so that no child inherits it in turn. First of all.
pub(crate) fn close_inherited() -> Result<(), ToolError> {
    dbal_sandbox::inherited::close_all_but(|_| false)
        .map_err(|source| ToolError::file(Path::new("/proc/self/fd"), source))
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
