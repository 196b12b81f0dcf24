//! What a daemon that was taken tries on what is really beside it: with the rules that its own configuration gives it, and not with
//! those of a process made for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use libc::{
    AT_FDCWD, O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, O_WRONLY, PTRACE_ATTACH, SIGTERM, SYS_bind, SYS_fstat,
    SYS_kill, SYS_openat, SYS_prlimit64, SYS_process_vm_readv, SYS_ptrace,
};

use crate::Outcome;
use crate::files::remove;
use crate::raw::{Errno, attempt, path};

/// One attempt of one daemon.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Its name, unique for its daemon.
    pub name: &'static str,
    /// What the attacker would have if it worked.
    pub harm: &'static str,
    /// What must come of it.
    pub outcome: Outcome,
    /// The attempt. `Ok` if it worked; of a death it can't tell.
    pub run: fn(&Beside) -> Result<(), Errno>,
}

/// What is beside a daemon.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Files and folders, by the name that a probe calls them.
    pub paths: BTreeMap<String, PathBuf>,
    /// The other daemon.
    pub other: i32,
    /// Device and number of the age identity's file.
    pub identity: (u64, u64),
}

/// The attempts of a worker.
pub const WORKER: &[Probe] = &[
    refused(
        "read-identity",
        "the key to the configuration, and so the credential for good",
        |beside| beside.open("identity", O_RDONLY),
    ),
    Probe {
        name: "identity-left-open",
        harm: "the same, by a descriptor that was not closed",
        outcome: Outcome::OutOfReach,
        run: |beside| beside.descriptor_of_the_identity(),
    },
    refused("read-configuration", "the sealed configuration", |beside| {
        beside.open("configuration", O_RDONLY)
    }),
    refused(
        "read-brokers-key",
        "being the server for every client",
        |beside| beside.open("server-key", O_RDONLY),
    ),
    refused("read-brokers-configuration", "how to get further", |beside| {
        beside.open("broker-configuration", O_RDONLY)
    }),
    killed("signal-broker", "ending the other half", |beside| {
        attempt(SYS_kill, [beside.other.into(), SIGTERM.into()])
    }),
    killed("trace-broker", "steering the other half", |beside| {
        attempt(SYS_ptrace, [i64::from(PTRACE_ATTACH).into(), beside.other.into()])
    }),
    killed(
        "read-brokers-memory",
        "tokens and rows of every client",
        |beside| attempt(SYS_process_vm_readv, [beside.other.into()]),
    ),
    refused("open-brokers-memory", "the same, as a file", |beside| {
        beside.open_proc("mem", O_RDWR)
    }),
    refused("list-brokers-descriptors", "its connections", |beside| {
        beside.open_proc("fd", O_RDONLY | O_DIRECTORY)
    }),
    killed("raise-own-limit", "what the machine keeps for others", |_| {
        let limits = [0xff_u8; 16];
        attempt(SYS_prlimit64, [0.into(), 7.into(), limits.as_slice().into()])
    }),
    killed("listen", "a service of its own", |_| attempt(SYS_bind, [])),
    refused(
        "plant-beside-the-database",
        "a file outside of its folders",
        |beside| beside.open("outside", O_WRONLY | O_CREAT),
    ),
    refused(
        "change-policy",
        "rights for itself at the next reload",
        |beside| beside.open("policy", O_WRONLY),
    ),
    Probe {
        name: "rewrite-rotated-journal",
        harm: "another past, but for what is sealed; `dbal audit verify` finds it by the head that somebody kept (audit.md)",
        outcome: Outcome::Works,
        run: |beside| beside.open("rotated", O_RDWR),
    },
    Probe {
        name: "remove-rotated-journal",
        harm: "no past; as above",
        outcome: Outcome::Works,
        run: |beside| remove(&beside.path("rotated")),
    },
    refused(
        "rewrite-sealed-journal",
        "another past, also where nobody kept a head",
        |beside| beside.open("sealed", O_RDWR),
    ),
    refused("remove-sealed-journal", "no past", |beside| {
        remove(&beside.path("sealed"))
    }),
    refused("plant-in-sealed-journal", "a past that never was", |beside| {
        beside.open("sealed-folder", O_WRONLY | O_CREAT)
    }),
    refused("read-sealed-journal", "which records are kept", |beside| {
        beside.open("sealed", O_RDONLY)
    }),
];

/// The attempts of a broker.
pub const BROKER: &[Probe] = &[
    refused(
        "read-identity",
        "the key to the worker's configuration, and so the credential",
        |beside| beside.open("identity", O_RDONLY),
    ),
    refused(
        "read-workers-configuration",
        "the sealed configuration",
        |beside| beside.open("configuration", O_RDONLY),
    ),
    refused("read-database", "every row", |beside| {
        beside.open("database", O_RDONLY)
    }),
    killed("write-database", "any row", |beside| {
        beside.open("database", O_RDWR)
    }),
    refused("read-journal", "who did what", |beside| {
        beside.open("rotated", O_RDONLY)
    }),
    killed("rewrite-journal", "another past", |beside| {
        beside.open("rotated", O_RDWR)
    }),
    refused("read-keys-of-callers", "hashes of API keys", |beside| {
        beside.open("api-keys", O_RDONLY)
    }),
    killed("signal-worker", "ending the other half", |beside| {
        attempt(SYS_kill, [beside.other.into(), SIGTERM.into()])
    }),
    killed("trace-worker", "the credential and every row", |beside| {
        attempt(SYS_ptrace, [i64::from(PTRACE_ATTACH).into(), beside.other.into()])
    }),
    killed("read-workers-memory", "the credential and every row", |beside| {
        attempt(SYS_process_vm_readv, [beside.other.into()])
    }),
    refused("open-workers-memory", "the same, as a file", |beside| {
        beside.open_proc("mem", O_RDONLY)
    }),
    killed("raise-own-limit", "what the machine keeps for others", |_| {
        let limits = [0xff_u8; 16];
        attempt(SYS_prlimit64, [0.into(), 7.into(), limits.as_slice().into()])
    }),
    killed(
        "change-policy",
        "rights for anybody at the next reload",
        |beside| beside.open("policy", O_WRONLY),
    ),
    Probe {
        name: "read-own-key",
        harm: "being the server for every client; it is renewed while the broker runs, so it reads it again",
        outcome: Outcome::Works,
        run: |beside| beside.open("server-key", O_RDONLY),
    },
];

const fn refused(name: &'static str, harm: &'static str, run: fn(&Beside) -> Result<(), Errno>) -> Probe {
    Probe {
        name,
        harm,
        outcome: Outcome::Refused,
        run,
    }
}

const fn killed(name: &'static str, harm: &'static str, run: fn(&Beside) -> Result<(), Errno>) -> Probe {
    Probe {
        name,
        harm,
        outcome: Outcome::Killed,
        run,
    }
}

impl Beside {
    /// As the test writes it: `other PID`, `identity DEVICE INODE`, and a line `NAME PATH` for each path.
    pub fn parse(text: &str) -> Option<Self> {
        let mut beside = Self::default();
        for line in text.lines() {
            let (name, rest) = line.split_once(' ')?;
            match name {
                "other" => beside.other = rest.parse().ok()?,
                "identity-file" => {
                    let (device, number) = rest.split_once(' ')?;
                    beside.identity = (device.parse().ok()?, number.parse().ok()?);
                }
                _ => {
                    beside.paths.insert(name.to_owned(), PathBuf::from(rest));
                }
            }
        }
        Some(beside)
    }

    /// A name that the test has not given leads nowhere, which is neither refused nor killed.
    fn path(&self, name: &str) -> PathBuf {
        self.paths.get(name).cloned().unwrap_or_default()
    }

    fn open(&self, name: &str, flags: i32) -> Result<(), Errno> {
        open(self.path(name), flags)
    }

    fn open_proc(&self, name: &str, flags: i32) -> Result<(), Errno> {
        open(format!("/proc/{}/{name}", self.other).into(), flags)
    }

    /// fstat(2) of every descriptor that there may be: device and inode stand first in `struct stat`.
    fn descriptor_of_the_identity(&self) -> Result<(), Errno> {
        const DESCRIPTORS: i32 = 1_024;
        for number in 0..DESCRIPTORS {
            let mut about = [0_u8; 256];
            if attempt(SYS_fstat, [number.into(), about.as_mut_slice().into()]).is_err() {
                continue;
            }
            let mut words = about.chunks_exact(8).filter_map(|word| word.try_into().ok());
            let mut next = || words.next().map_or(0, u64::from_ne_bytes);
            if (next(), next()) == self.identity {
                return Ok(());
            }
        }
        Err(Errno(libc::EBADF))
    }
}

fn open(at: PathBuf, flags: i32) -> Result<(), Errno> {
    let name = path(&at);
    attempt(
        SYS_openat,
        [AT_FDCWD.into(), (&name).into(), flags.into(), 0o600.into()],
    )
}
