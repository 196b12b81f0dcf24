//! What the kernel tells about a process, read from /proc.

use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process, told apart from a later one with the same number by when it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, as far as the kernel keeps it (15 bytes).
    pub name: String,
    parent: u32,
    started: u64,
}

impl Process {
    /// Whether it still is.
    pub fn is_alive(&self) -> bool {
        read(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// `kill -9`
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// `kill -9`, unless the number belongs to another by now.
    pub fn kill_if_same(&self) {
        if self.is_alive() {
            self.kill();
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid).expect("a pid")), signal).expect("the process is ours");
    }

    /// A field of `/proc/<pid>/status`.
    pub fn status(&self, field: &str) -> String {
        let status = std::fs::read_to_string(self.folder().join("status")).expect("status is readable");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in\n{status}"))
            .trim()
            .to_owned()
    }

    /// Field of `status` for each of its threads.
    pub fn statuses(&self, field: &str) -> Vec<String> {
        let tasks = std::fs::read_dir(self.folder().join("task")).expect("its threads");
        tasks
            .flatten()
            .map(|task| Process {
                pid: task.file_name().to_string_lossy().parse().expect("a number"),
                ..self.clone()
            })
            .map(|thread| thread.status(field))
            .collect()
    }

    /// The names of the variables that it was started with.
    pub fn environment(&self) -> Vec<String> {
        self.variables().into_iter().map(|(name, _)| name).collect()
    }

    /// The value of one of them.
    pub fn variable(&self, wanted: &str) -> Option<String> {
        let mut variables = self.variables().into_iter();
        variables.find(|(name, _)| name == wanted).map(|(_, value)| value)
    }

    fn variables(&self) -> Vec<(String, String)> {
        let environment =
            std::fs::read(self.folder().join("environ")).expect("its environment (run as root)");
        let text = String::from_utf8_lossy(&environment);
        let pairs = text.split('\0').filter_map(|variable| variable.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// What its descriptors lead to.
    pub fn descriptors(&self) -> Vec<String> {
        let links = std::fs::read_dir(self.folder().join("fd")).expect("its descriptors (run as root)");
        links
            .flatten()
            .filter_map(|link| std::fs::read_link(link.path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect()
    }

    /// Paths of the files it has mapped.
    pub fn mapped(&self) -> Vec<String> {
        let maps = std::fs::read_to_string(self.folder().join("maps")).expect("its maps (run as root)");
        let paths = maps
            .lines()
            .filter_map(|line| line.split_once('/').map(|(_, path)| format!("/{path}")));
        paths.collect()
    }

    /// Resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status("VmRSS")
            .trim_end_matches(" kB")
            .trim()
            .parse()
            .expect("a number")
    }

    /// The soft and the hard value of one of its limits, from `/proc/<pid>/limits`.
    pub fn limit(&self, name: &str) -> (String, String) {
        let limits = std::fs::read_to_string(self.folder().join("limits")).expect("its limits");
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a limit of this name");
        let mut values = line.split_whitespace().map(str::to_owned);
        (
            values.next().expect("a soft limit"),
            values.next().expect("a hard limit"),
        )
    }

    /// Lets it have so many descriptors from now on, and no more. Who lacks CAP_SYS_RESOURCE may only do so as its own user
    /// (prlimit(2)), which root can become.
    pub fn allow_descriptors(&self, most: usize) {
        let own = |field: &str| {
            self.status(field)
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let mut command = std::process::Command::new("setpriv");
        if nix::unistd::geteuid().is_root() {
            command.args(["--reuid", &own("Uid"), "--regid", &own("Gid"), "--clear-groups"]);
        }
        command.args([
            "prlimit",
            "--pid",
            &self.pid.to_string(),
            &format!("--nofile={most}:{most}"),
        ]);
        let limited = command.status().expect("setpriv and prlimit, of util-linux");
        assert!(limited.success(), "{limited}");
    }

    /// TCP ports on which one of its descriptors listens.
    pub fn listening_tcp_ports(&self) -> Vec<u16> {
        let sockets = self.descriptors();
        let mut ports = Vec::new();
        // Our table, not its own: it may have left our network, and listeners stay in the one they were made in.
        for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
            for line in std::fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let (local, state, inode) = (fields[1], fields[3], fields[9]);
                if state == "0A" && sockets.contains(&format!("socket:[{inode}]")) {
                    let port = local.rsplit(':').next().expect("a port");
                    ports.push(u16::from_str_radix(port, 16).expect("hex"));
                }
            }
        }
        ports
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }
}

/// Every process below another, however deep.
pub fn below(pid: u32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            parents.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}

fn all() -> Vec<Process> {
    let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(read)
        .collect()
}

/// `proc_pid_stat(5)`: the name stands in brackets and may hold anything; after it state, parent, … and start as the 20th.
fn read(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = rest.split_whitespace();
    let is_gone = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    (!is_gone).then(|| Process {
        pid,
        name: name.to_owned(),
        parent,
        started,
    })
}

/// This one.
pub fn this() -> Process {
    read(std::process::id()).expect("this process is there")
}

/// Resident memory of a process, in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    read(pid).expect("the process is there").resident_kib()
}
