//! Whether this kernel has what the sandbox is made of (docs/sandbox.md).

use std::fs;

use dbal_sandbox::LANDLOCK_STEPS;

use super::check::Check;

/// What the kernel says of itself; `None` where it says nothing.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// `/proc/sys/kernel/osrelease`
    release: Option<String>,
    /// `/sys/kernel/security/lsm`
    modules: Option<String>,
    /// `/proc/sys/kernel/seccomp/actions_avail`
    seccomp: Option<String>,
    /// `/proc/sys/user/max_user_namespaces`
    user_namespaces: Option<String>,
    /// `/proc/sys/kernel/unprivileged_userns_clone` (Debian's kernels)
    clone: Option<String>,
    /// `/proc/sys/kernel/apparmor_restrict_unprivileged_userns` (Ubuntu's)
    apparmor: Option<String>,
}

impl Kernel {
    pub(super) fn read() -> Self {
        let read = |path: &str| Some(fs::read_to_string(path).ok()?.trim().to_owned());
        Self {
            release: read("/proc/sys/kernel/osrelease"),
            modules: read("/sys/kernel/security/lsm"),
            seccomp: read("/proc/sys/kernel/seccomp/actions_avail"),
            user_namespaces: read("/proc/sys/user/max_user_namespaces"),
            clone: read("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        }
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        vec![self.landlock(), self.seccomp(), self.namespaces()]
    }

    fn landlock(&self) -> Check {
        let what = "kernel and landlock";
        let upgrade = "run Linux 6.12 or later (6.7 at least), or `security.sandbox: permissive` knowing what is missing";
        let Some((release, version)) = self
            .release
            .as_deref()
            .and_then(|release| Some((release, version(release)?)))
        else {
            return Check::unseen(what, "the kernel's version is not told in /proc", "mount /proc");
        };
        let steps = LANDLOCK_STEPS.iter().filter(|step| version >= step.linux);
        let abi = steps.map(|step| step.abi).max().unwrap_or(0);
        let told = format!("Linux {release}, which has landlock ABI {abi}");
        if let Some(modules) = &self.modules
            && abi > 0
            && !modules.split(',').any(|module| module == "landlock")
        {
            return Check::error(
                what,
                format!("{told}, but landlock is not switched on: the strict sandbox will not start"),
                format!("add `lsm=landlock,{modules}` to the kernel's command line and start it anew"),
            );
        }
        match abi {
            0 => Check::error(
                what,
                format!("Linux {release} has no landlock: the strict sandbox will not start"),
                upgrade,
            ),
            1..=3 => Check::error(
                what,
                format!("{told}: no `landlock_tcp` (ABI 4, Linux 6.7), so the strict sandbox will not start"),
                upgrade,
            ),
            4 | 5 => Check::warning(
                what,
                format!(
                    "{told}: no `landlock_scopes` (ABI 6, Linux 6.12), so a daemon that was taken could reach abstract sockets"
                ),
                upgrade,
            ),
            _ if self.modules.is_none() => Check::ok(
                what,
                format!(
                    "{told}, if it is switched on (/sys/kernel/security is not mounted here; running daemons tell, below)"
                ),
            ),
            _ => Check::ok(what, told),
        }
    }

    fn seccomp(&self) -> Check {
        let what = "seccomp";
        match &self.seccomp {
            Some(actions) if actions.split(' ').any(|action| action == "kill_process") => {
                Check::ok(what, "there, and can end a process")
            }
            Some(_) | None => Check::error(
                what,
                "the kernel offers no seccomp filters that end a process: the strict sandbox will not start",
                "use a kernel with CONFIG_SECCOMP_FILTER",
            ),
        }
    }

    fn namespaces(&self) -> Check {
        let what = "user namespaces without privileges";
        let is = |value: &Option<String>, wanted: &str| value.as_deref() == Some(wanted);
        let why = if is(&self.user_namespaces, "0") {
            "user.max_user_namespaces is 0"
        } else if is(&self.clone, "0") {
            "kernel.unprivileged_userns_clone is 0"
        } else if is(&self.apparmor, "1") {
            "kernel.apparmor_restrict_unprivileged_userns is 1"
        } else {
            return Check::ok(
                what,
                "allowed: a broker that an ordinary user starts can leave its network (`network_left`)",
            );
        };
        // Not a fault: the units have PrivateNetwork=, and whoever starts as root needs none.
        Check::ok(
            what,
            format!(
                "forbidden ({why}): a broker that an ordinary user starts keeps its network, and only landlock and seccomp \
                 keep it from connecting; under our units, or started as root, it leaves all the same"
            ),
        )
    }
}

/// Major and minor number.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|character: char| !character.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn a_kernel_without_a_layer_is_told_with_the_version_that_has_it() {
        let table = [
            ("5.10.0-28-amd64", Some("lockdown"), Verdict::Error, "no landlock"),
            (
                "6.1.0-18-amd64",
                Some("landlock,yama"),
                Verdict::Error,
                "Linux 6.7",
            ),
            ("6.8.0", Some("landlock"), Verdict::Warning, "Linux 6.12"),
            (
                "6.12.1",
                Some("capability,yama"),
                Verdict::Error,
                "not switched on",
            ),
            ("6.12.1", Some("capability,landlock"), Verdict::Ok, "ABI 6"),
            ("7.0.0-rc1", None, Verdict::Ok, "ABI 7"),
            ("strange", None, Verdict::Unseen, "not told"),
        ];
        for (release, modules, verdict, says) in table {
            let kernel = Kernel {
                release: Some(release.to_owned()),
                modules: modules.map(str::to_owned),
                ..Kernel::default()
            };
            let check = kernel.landlock();
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert!(check.said.contains(says), "{check:?}");
        }
    }

    #[test]
    fn seccomp_and_namespaces_are_read_from_their_own_words() {
        let with = |actions: Option<&str>| Kernel {
            seccomp: actions.map(str::to_owned),
            ..Kernel::default()
        };
        assert_eq!(
            with(Some("kill_process kill_thread trap")).seccomp().verdict,
            Verdict::Ok
        );
        assert_eq!(with(Some("kill_thread trap")).seccomp().verdict, Verdict::Error);
        assert_eq!(with(None).seccomp().verdict, Verdict::Error);
        let forbidden = Kernel {
            user_namespaces: Some("0".to_owned()),
            ..Kernel::default()
        };
        assert!(
            forbidden
                .namespaces()
                .said
                .contains("user.max_user_namespaces is 0")
        );
        assert!(Kernel::default().namespaces().said.starts_with("allowed"));
    }
}
