//! A daemon that has been taken: locks itself in exactly as broker or worker do, then tries one thing that it must not do.
//!
//! `dbal-attacker broker|worker|free FOLDER ATTACK [ARGUMENT]`. `free` does not lock itself in, which shows that the attack
//! is one. Says `REFUSED` (exit code 0) or `SUCCEEDED` (exit code 7); killed by SIGSYS it says nothing any more.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode};

use dbal_sandbox::{Mode, Profile, Rules, RunAs, Setup};

/// What an attack tries. The folder holds `read/`, `write/` and `outside/`; the argument is a port, a pid or nothing.
type Attack = fn(&Path, &str) -> io::Result<()>;

/// Every attack, by the name that the test's table gives it.
const ATTACKS: [(&str, Attack); 38] = [
    // These must succeed: a cage in which nothing works proves nothing.
    ("read-inside", |folder, _| {
        fs::read(folder.join("read/file")).map(drop)
    }),
    ("write-inside", |folder, _| {
        fs::write(folder.join("write/new"), "x")
    }),
    // Files.
    ("read-etc-passwd", |_, _| fs::read("/etc/passwd").map(drop)),
    ("read-outside", |folder, _| {
        fs::read(folder.join("outside/file")).map(drop)
    }),
    ("read-by-dotdot", |folder, _| {
        fs::read(folder.join("read/../outside/file")).map(drop)
    }),
    ("read-by-symlink", |folder, _| {
        fs::read(folder.join("read/link")).map(drop)
    }),
    ("list-root", |_, _| fs::read_dir("/").map(drop)),
    ("write-read-only", |folder, _| {
        fs::write(folder.join("read/file"), "x")
    }),
    ("write-outside", |folder, _| {
        fs::write(folder.join("outside/new"), "x")
    }),
    ("write-tmp", |_, _| fs::write("/tmp/dbal-attacker-was-here", "x")),
    ("rename-outside", |folder, _| {
        fs::rename(folder.join("outside/file"), folder.join("outside/moved"))
    }),
    ("remove-outside", |folder, _| {
        fs::remove_file(folder.join("outside/file"))
    }),
    ("link-outside", |folder, _| {
        fs::hard_link(folder.join("outside/file"), folder.join("write/hard"))
    }),
    ("chmod-outside", |folder, _| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder.join("outside/file"), mode)
    }),
    ("make-device", |folder, _| {
        let path = c_path(&folder.join("write/device"));
        call(
            libc::SYS_mknodat,
            [
                libc::AT_FDCWD.into(),
                path.as_ptr() as i64,
                i64::from(libc::S_IFCHR | 0o666),
                0x0103,
                0,
                0,
            ],
        )
    }),
    // Programs.
    ("execute", |_, _| Command::new("/bin/true").status().map(drop)),
    ("execute-own", |folder, _| {
        Command::new(folder.join("write/true")).status().map(drop)
    }),
    ("execute-memory", |_, _| {
        let name = CString::default();
        let descriptor = value(libc::SYS_memfd_create, [name.as_ptr() as i64, 0, 0, 0, 0, 0])?;
        fs::copy("/bin/true", format!("/proc/self/fd/{descriptor}"))?;
        Command::new(format!("/proc/self/fd/{descriptor}"))
            .status()
            .map(drop)
    }),
    ("make-code", |_, _| {
        let flags = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let all = i64::from(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
        call(libc::SYS_mmap, [0, 4096, all, flags, -1, 0])
    }),
    ("make-data-code", |_, _| {
        let flags = i64::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let data = i64::from(libc::PROT_READ | libc::PROT_WRITE);
        let page = value(libc::SYS_mmap, [0, 4096, data, flags, -1, 0])?;
        call(
            libc::SYS_mprotect,
            [page, 4096, i64::from(libc::PROT_READ | libc::PROT_EXEC), 0, 0, 0],
        )
    }),
    // The network. The argument is a port that somebody listens on.
    ("connect-tcp", |_, port| {
        TcpStream::connect(format!("127.0.0.1:{port}")).map(drop)
    }),
    ("listen-tcp", |_, _| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("send-udp", |_, port| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.send_to(b"x", format!("127.0.0.1:{port}")).map(drop)
    }),
    ("connect-unix-outside", |folder, _| {
        UnixStream::connect(folder.join("outside/socket")).map(drop)
    }),
    ("raw-socket", |_, _| {
        socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
    }),
    ("packet-socket", |_, _| socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
    ("netlink-socket", |_, _| {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, 0)
    }),
    // The sibling. The argument is its pid.
    ("trace", |_, pid| {
        call(
            libc::SYS_ptrace,
            [i64::from(libc::PTRACE_ATTACH), number(pid), 0, 0, 0, 0],
        )
    }),
    ("read-its-memory", |_, pid| {
        File::open(format!("/proc/{pid}/mem")).map(drop)
    }),
    ("read-its-environment", |_, pid| {
        fs::read(format!("/proc/{pid}/environ")).map(drop)
    }),
    ("signal", |_, pid| {
        call(
            libc::SYS_kill,
            [number(pid), i64::from(libc::SIGCONT), 0, 0, 0, 0],
        )
    }),
    ("take-its-descriptor", |_, pid| {
        let process = value(libc::SYS_pidfd_open, [number(pid), 0, 0, 0, 0, 0])?;
        call(libc::SYS_pidfd_getfd, [process, 0, 0, 0, 0, 0])
    }),
    // The kernel.
    ("new-namespace", |_, _| {
        call(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0, 0, 0, 0])
    }),
    ("become-somebody", |_, _| {
        call(libc::SYS_setresuid, [12_345, 12_345, 12_345, 0, 0, 0])
    }),
    ("change-root", |folder, _| {
        call(libc::SYS_chroot, [c_path(folder).as_ptr() as i64, 0, 0, 0, 0, 0])
    }),
    ("io-uring", |_, _| {
        let mut parameters = [0_u64; 15];
        call(
            libc::SYS_io_uring_setup,
            [4, parameters.as_mut_ptr() as i64, 0, 0, 0, 0],
        )
    }),
    ("be-dumpable", |_, _| {
        call(libc::SYS_prctl, [i64::from(libc::PR_SET_DUMPABLE), 1, 0, 0, 0, 0])
    }),
    ("own-memory-as-file", |_, _| {
        File::options().write(true).open("/proc/self/mem").map(drop)
    }),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, cage, folder, attack, rest @ ..] = arguments.as_slice() else {
        eprintln!("dbal-attacker broker|worker|free FOLDER ATTACK [ARGUMENT]");
        return ExitCode::from(2);
    };
    let folder = Path::new(folder);
    let Some((_, attack)) = ATTACKS.iter().find(|(name, _)| name == attack) else {
        eprintln!("there is no attack {attack}");
        return ExitCode::from(2);
    };
    let profile = match cage.as_str() {
        "broker" => Some(Profile::Broker),
        "worker" => Some(Profile::Worker { network: false }),
        _ => None,
    };
    if let Some(profile) = profile {
        let rules = Rules {
            profile,
            read: vec![folder.join("read")],
            write: if profile == Profile::Broker {
                Vec::new()
            } else {
                vec![folder.join("write")]
            },
            connect_ports: Vec::new(),
            leave_network: false,
            run_as: std::env::var("DBAL_ATTACKER_BECOMES")
                .ok()
                .map(|who| RunAs::resolve(&who).expect("uid:gid")),
        };
        // Strict: what the kernel does not give is an error here, not a weaker cage.
        if let Err(error) = Setup::begin(Mode::Strict).and_then(|setup| setup.lock(&rules)) {
            eprintln!("not locked in: {error}");
            return ExitCode::from(3);
        }
    }
    match attack(folder, rest.first().map_or("", String::as_str)) {
        Ok(()) => {
            println!("SUCCEEDED");
            ExitCode::from(7)
        }
        Err(error) => {
            println!("REFUSED {error}");
            ExitCode::SUCCESS
        }
    }
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
    call(
        libc::SYS_socket,
        [family.into(), kind.into(), protocol.into(), 0, 0, 0],
    )
}

fn call(number: i64, arguments: [i64; 6]) -> io::Result<()> {
    value(number, arguments).map(drop)
}

fn value(number: i64, [a, b, c, d, e, f]: [i64; 6]) -> io::Result<i64> {
    // SAFETY: not safe in general, and that is the point: an attacker calls the kernel as it likes. Every pointer that the
    // table above passes lives until the call returns, and no call maps or unmaps memory that Rust knows of.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn number(text: &str) -> i64 {
    text.parse().expect("the argument is a number")
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without NUL")
}
