//! The real MySQL for tests. Debian's stable releases have only MariaDB; the unstable one has MySQL, whose packages are fetched with
//! all that they need, checked by apt against Debian's keys, and unpacked into a folder of ours. Nothing is installed.

use std::path::Path;

use crate::Outcome;
use crate::run::{command, show, target};

const SOURCE: &str =
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main\n";

/// Fetches and unpacks it, unless that has been done.
pub fn fetch() -> Outcome {
    let folder = target().join("mysql");
    let root = folder.join("root");
    if root.join("usr/sbin/mysqld").exists() {
        return Ok(());
    }
    for part in [
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/lib/dpkg",
    ] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let folder = folder.canonicalize()?;
    std::fs::write(folder.join("etc/apt/sources.list"), SOURCE)?;
    // Nothing is there yet, so everything that it needs comes along.
    std::fs::write(folder.join("var/lib/dpkg/status"), "")?;
    apt(&folder, &["update", "-qq"])?;
    apt(
        &folder,
        &["install", "-qq", "--yes", "--download-only", "mysql-server-core"],
    )?;
    // Only a whole one gets the name that is looked for.
    let fresh = folder.join("fresh");
    for package in std::fs::read_dir(folder.join("var/cache/apt/archives"))? {
        let package = package?.path();
        if package.extension().is_some_and(|ending| ending == "deb") {
            let mut unpack = command("dpkg-deb", ["--extract"]);
            unpack.arg(&package).arg(&fresh);
            // Some fifty of them: none is worth a line.
            if !unpack.status()?.success() {
                return Err(format!("{} can't be unpacked", package.display()).into());
            }
            std::fs::remove_file(package)?;
        }
    }
    std::fs::rename(fresh, root)?;
    Ok(())
}

/// apt on files of its own, so that the system's are neither read nor changed.
fn apt(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut apt = command("apt-get", [format!("-oDir={}", folder.display())]);
    apt.arg(format!(
        "-oDir::State::status={}",
        folder.join("var/lib/dpkg/status").display()
    ))
    .args([
        "-oAPT::Architecture=amd64",
        "-oAPT::Install-Recommends=false",
        "-oAPT::Sandbox::User=root",
    ])
    .args(arguments);
    show(apt)
}
