//! Kernels that lack a part of the sandbox, played by `older-kernel` from outside: which layer goes with which, whether strict starts,
//! and that permissive serves and tells.
#![expect(
    clippy::unwrap_used,
    reason = "the scene is part of the test: what fails there fails the test"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

/// Somebody who owns nothing on this machine.
const OTHER: u32 = 54_321;

/// A process that locks itself in on such a kernel, and what it said.
struct Played {
    status: ExitStatus,
    said: String,
}

impl Played {
    fn new(lacks: &[&str], profile: &str, task: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("dbal-older-").tempdir().unwrap();
        let at = folder.path();
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
        let is_root = nix::unistd::geteuid().is_root();
        for name in ["read", "write"] {
            fs::create_dir(at.join(name)).unwrap();
            if is_root {
                chown(at.join(name), Some(OTHER), Some(OTHER)).unwrap();
            }
        }
        fs::write(at.join("target"), "1 1 nobody").unwrap();
        let run_as = if is_root {
            format!("{OTHER}:{OTHER}")
        } else {
            "-".to_owned()
        };
        let output = Command::new(env!("CARGO_BIN_EXE_older-kernel"))
            .args(lacks)
            .args(["--", env!("CARGO_BIN_EXE_confined"), profile])
            .arg(at)
            .args([&run_as, task])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Self {
            status: output.status,
            said: String::from_utf8_lossy(&output.stdout).into_owned(),
        }
    }

    /// The names of the layers that it said were missing.
    fn missing(&self) -> Vec<&str> {
        // These depend on the machine and on who runs the test.
        let not_ours = ["not_swapped", "bounding_set"];
        let lines = self.said.lines();
        lines
            .filter_map(|line| line.split_once(" missing: "))
            .map(|(name, _)| name)
            .filter(|name| !not_ours.contains(name))
            .collect()
    }
}

#[test]
fn each_step_down_of_landlock_takes_its_layers_with_it_and_strict_starts_from_abi_4_on() {
    let files = [
        "landlock_files",
        "landlock_truncate",
        "landlock_tcp",
        "landlock_devices",
        "landlock_scopes",
    ];
    let table: [(&str, &str, &[&str], bool); 9] = [
        ("landlock", "landlock not in this kernel", &files, false),
        (
            "landlock-off",
            "landlock not enabled in this kernel",
            &files,
            false,
        ),
        ("landlock=1", "landlock ABI 1", &files[1..], false),
        ("landlock=2", "landlock ABI 2", &files[1..], false),
        ("landlock=3", "landlock ABI 3", &files[2..], false),
        ("landlock=4", "landlock ABI 4", &files[3..], true),
        ("landlock=5", "landlock ABI 5", &files[4..], true),
        ("landlock=6", "landlock ABI 6", &[], true),
        ("landlock=7", "landlock ABI 7", &[], true),
    ];
    for (lack, tells, missing, strict_starts) in table {
        // `permissive` is a worker without network, which is not in the way of abstract sockets.
        let permissive = Played::new(&[lack], "permissive", "status");
        assert!(permissive.status.success(), "{lack}: {}", permissive.said);
        assert!(
            permissive.said.lines().any(|line| line == tells),
            "{lack}: {}",
            permissive.said
        );
        assert_eq!(permissive.missing(), missing, "{lack}: {}", permissive.said);
        assert!(
            permissive.said.contains("seccomp in force"),
            "{}",
            permissive.said
        );

        let strict = Played::new(&[lack], "worker", "status");
        assert_eq!(strict.status.success(), strict_starts, "{lack}: {}", strict.said);
        if !strict_starts {
            assert!(
                strict.said.contains("`security.sandbox` is strict, but")
                    && strict.said.contains("landlock_tcp"),
                "{lack}: {}",
                strict.said
            );
        }
    }
}

#[test]
fn without_landlock_a_permissive_process_is_still_held_by_its_filter() {
    let played = Played::new(&["landlock"], "permissive", "execute");
    assert_eq!(played.status.signal(), Some(libc::SIGSYS), "{}", played.said);
    // What landlock alone would have refused works, and that is why strict does not start.
    let played = Played::new(&["landlock"], "permissive", "read-passwd");
    assert_eq!(played.said.trim(), "worked");
}

#[test]
fn without_seccomp_strict_does_not_start_and_permissive_says_what_is_missing() {
    let strict = Played::new(&["seccomp"], "worker", "status");
    assert!(!strict.status.success(), "{}", strict.said);
    for layer in ["seccomp_start", "seccomp_probe"] {
        assert!(strict.said.contains(layer), "{}", strict.said);
    }
    let permissive = Played::new(&["seccomp"], "permissive", "status");
    assert!(permissive.status.success(), "{}", permissive.said);
    // The mode that the kernel tells is the simulation's own filter: only the probe knows that it is not ours.
    assert_eq!(
        permissive.missing(),
        ["seccomp_start", "seccomp_probe"],
        "{}",
        permissive.said
    );
}

#[test]
fn what_a_kernel_before_6_3_lacks_is_told_and_keeps_nobody_from_starting() {
    let played = Played::new(&["mdwe"], "worker", "status");
    assert!(played.status.success(), "{}", played.said);
    assert_eq!(played.missing(), ["write_xor_execute"], "{}", played.said);
    let played = Played::new(&["mdwe"], "worker", "executable-memory");
    assert_eq!(
        played.status.signal(),
        Some(libc::SIGSYS),
        "the filter: {}",
        played.said
    );
}

#[test]
fn a_machine_that_may_swap_is_told_with_what_to_do_and_served() {
    let played = Played::new(&["sysinfo"], "worker", "status");
    assert!(played.status.success(), "{}", played.said);
    let told = played
        .said
        .lines()
        .find(|line| line.starts_with("not_swapped"))
        .unwrap();
    // In a control group that may not swap there is nothing to tell.
    assert!(
        told == "not_swapped in force"
            || told.contains("missing: this machine swaps") && told.contains("`MemorySwapMax=0`"),
        "{told}"
    );
}

#[test]
fn a_broker_that_may_not_leave_its_network_starts_and_says_so() {
    let played = Played::new(&["namespaces"], "broker", "status");
    assert!(played.status.success(), "{}", played.said);
    // On a machine without a network there is nothing to leave.
    let interfaces = fs::read_to_string("/proc/self/net/dev").unwrap();
    let is_alone = interfaces
        .lines()
        .skip(2)
        .all(|line| line.trim_start().starts_with("lo:"));
    let missing: &[&str] = if is_alone { &[] } else { &["network_left"] };
    assert_eq!(played.missing(), missing, "{}", played.said);
}

/// Both hold without the other: a filter that is not there leaves the kernel's own rule.
#[test]
fn without_the_filter_no_memory_becomes_executable_either() {
    for attack in ["executable-memory", "make-memory-executable"] {
        let played = Played::new(&["seccomp"], "permissive", attack);
        assert!(
            played.said.trim() == format!("refused {}", libc::EACCES),
            "{attack}: {}: {}",
            played.status,
            played.said
        );
    }
}

/// As above, for limits: raising one takes a capability.
#[test]
fn without_the_filter_no_limit_can_be_raised_either() {
    for attack in ["core-limit", "file-limit", "memory-lock-limit"] {
        let played = Played::new(&["seccomp"], "permissive", attack);
        assert_eq!(
            played.said.trim(),
            format!("refused {}", libc::EPERM),
            "{attack}: {}",
            played.status
        );
    }
}
