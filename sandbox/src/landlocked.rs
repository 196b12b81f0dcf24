//! Landlock (landlock(7)): files, TCP ports, signals and abstract sockets, as far as the kernel's ABI goes, and the probes
//! that show it. The kernel has no file to read a process's landlock back from, so what must be refused is tried.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getppid};

use crate::landlock_steps::{Landlock, STEPS, comes_with};
use crate::layers::State;
use crate::paths::Kept;

/// The newest ABI these rules were written for, which is the last of [`STEPS`].
const WRITTEN_FOR: ABI = ABI::V7;

/// Restricts the process; the result is the ABI in use. Rights that the kernel doesn't know are left out: the probes tell.
pub(crate) fn restrict(kept: Vec<Kept>, connect_ports: &[u16]) -> Landlock {
    try_to_restrict(kept, connect_ports).unwrap_or_else(|error| Landlock::Missing(error.to_string()))
}

fn try_to_restrict(kept: Vec<Kept>, connect_ports: &[u16]) -> Result<Landlock, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WRITTEN_FOR))?
        // Binding a port is handled and never allowed: listeners are opened before.
        .handle_access(AccessNet::from_all(WRITTEN_FOR))?
        .scope(Scope::from_all(WRITTEN_FOR))?
        .create()?;
    for Kept { path, access } in kept {
        rules = rules.add_rule(PathBeneath::new(path, access))?;
    }
    for port in connect_ports {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let status = rules.restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::NotEnabled => Landlock::Missing("not enabled in this kernel".to_owned()),
        LandlockStatus::NotImplemented => Landlock::Missing("not in this kernel".to_owned()),
        LandlockStatus::Available { effective_abi, .. } => Landlock::Abi(
            STEPS
                .iter()
                .map(|step| step.abi)
                .filter(|abi| ABI::from(i32::from(*abi)) <= effective_abi)
                .max()
                .unwrap_or(0),
        ),
    })
}

/// Which landlock this kernel has, of the ABIs that the rules were written for. Found out by a thread that restricts itself and
/// ends: the process stays as it is.
pub fn landlock_here() -> Landlock {
    let found = std::thread::spawn(|| restrict(Vec::new(), &[])).join();
    found.unwrap_or_else(|_| Landlock::Missing("a thread that tried it ended".to_owned()))
}

/// A layer that no attempt can show alone: what it forbids is forbidden by others, too. The kernel took the rights, so they hold.
pub(crate) fn by_abi(landlock: &Landlock, layer: &'static str) -> State {
    let step = STEPS.iter().find(|step| step.layer == Some(layer));
    if step.is_some_and(|step| landlock.has(step.abi)) {
        State::InForce
    } else {
        State::Missing(format!(
            "landlock here: {landlock}; it comes with {}",
            comes_with(layer)
        ))
    }
}

/// A socket that must be out of reach, made while it may be.
pub(crate) struct Outside {
    socket: Option<(UnixListener, SocketAddr)>,
}

impl Outside {
    /// Before [`restrict`]: what is made now counts as outside afterwards.
    pub(crate) fn prepare() -> Self {
        let name = format!("dbal-sandbox-probe-{}", std::process::id());
        let socket = SocketAddr::from_abstract_name(name)
            .and_then(|address| Ok((UnixListener::bind_addr(&address)?, address)))
            .ok();
        Self { socket }
    }

    /// An abstract socket, and a signal to the parent: signal 0 is checked like any other and not delivered.
    pub(crate) fn scopes(&self) -> State {
        let works = format!(
            "reaching an abstract socket outside works ({} forbids it)",
            comes_with("landlock_scopes")
        );
        let Some((_listener, address)) = &self.socket else {
            return State::Missing("no abstract socket could be made to try it on".to_owned());
        };
        let parent = getppid();
        let signalled = if parent == Pid::from_raw(0) {
            // The parent is in another process namespace, out of reach; 0 would mean our own process group.
            Err(io::Error::from(Errno::EPERM))
        } else {
            kill(parent, None).map_err(io::Error::from)
        };
        match state(UnixStream::connect_addr(address).map(drop), &works) {
            State::InForce => state(signalled, "sending signals to the parent works"),
            other @ (State::Missing(_) | State::Off) => other,
        }
    }
}

/// Tries a folder that no rule contains: `paths::open` refuses `/`.
pub(crate) fn files() -> State {
    state(fs::read_dir("/").map(drop), "reading the folder / works")
}

/// Tries a port of the system's choice. Where landlock doesn't hold, it is closed again at once.
pub(crate) fn tcp() -> State {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop);
    // A service manager took the family away (RestrictAddressFamilies=AF_UNIX): there is nothing left to bind or connect.
    if let Err(error) = &bound
        && error.raw_os_error() == Some(libc::EAFNOSUPPORT)
    {
        return State::InForce;
    }
    let works = format!(
        "binding a TCP port works ({} forbids it)",
        comes_with("landlock_tcp")
    );
    state(bound, &works)
}

/// In force only if refused for want of permission; any other failure proves nothing.
fn state(attempt: io::Result<()>, works: &str) -> State {
    match attempt {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => State::InForce,
        Ok(()) => State::Missing(works.to_owned()),
        Err(error) => State::Missing(format!("{works}, or failed for another reason: {error}")),
    }
}
