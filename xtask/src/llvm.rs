//! LLVM's programs, which have to be of the compiler's version: rustup's component `llvm-tools` is.

use std::path::{Path, PathBuf};

use crate::run::{command, output, show};

const NEEDED: [&str; 2] = ["llvm-profdata", "llvm-cov"];

/// Where they are.
pub struct Tools {
    pub profdata: PathBuf,
    pub cov: PathBuf,
}

impl Tools {
    /// The compiler's own, fetched if they can be; else the system's of the same LLVM.
    pub fn find(host: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let sysroot = output(command("rustc", ["--print", "sysroot"]))?;
        let own = Path::new(sysroot.trim())
            .join("lib/rustlib")
            .join(host)
            .join("bin");
        if !is_whole(&own) {
            // Where it fails, the system may have them.
            let _ = show(command("rustup", ["component", "add", "llvm-tools"]));
        }
        let version = output(command("rustc", ["-vV"]))?;
        let llvm = version
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next())
            .ok_or("rustc -vV names no LLVM")?;
        let system = PathBuf::from(format!("/usr/lib/llvm-{llvm}/bin"));
        let folder = [&own, &system]
            .into_iter()
            .find(|folder| is_whole(folder))
            .ok_or_else(|| {
                format!(
                    "{} are missing: `rustup component add llvm-tools`, or Debian's llvm-{llvm}",
                    NEEDED.join(" and ")
                )
            })?;
        Ok(Self {
            profdata: folder.join("llvm-profdata"),
            cov: folder.join("llvm-cov"),
        })
    }
}

fn is_whole(folder: &Path) -> bool {
    NEEDED.iter().all(|tool| folder.join(tool).exists())
}

/// What the compiler compiles for when it is told nothing.
pub fn host() -> Result<String, Box<dyn std::error::Error>> {
    let version = output(command("rustc", ["-vV"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc -vV names no host")?.to_owned())
}
