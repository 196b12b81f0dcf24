//! A disk that is soon full, which only one process and those it starts see: a file system in memory, in a mount namespace of
//! their own.

use std::path::Path;
use std::process::Command;

use crate::keeper;

/// Room on the disk of a database, in MiB.
pub const OF_A_SERVER: u32 = 16;

/// Mounts it, gives it to the owner of the data folder, and becomes the server.
const SCRIPT: &str = r#"disk=$1 data=$2 mib=$3; shift 3
mount -t tmpfs -o "size=${mib}m,mode=0700" dbal-test "$disk" && chown --reference="$data" "$disk" && exec "$@""#;

/// The command that runs `server` where the folder `disk` is a disk of so many MiB, which belongs to the owner of `data`.
pub fn command(disk: &Path, data: &Path, mib: u32, server: Vec<String>) -> Vec<String> {
    let mut words = vec!["unshare".to_owned(), "--mount".to_owned()];
    if !keeper::is_root() {
        // Only root mounts: the one of a user namespace will do.
        words.push("--map-root-user".to_owned());
    }
    words.extend(["sh", "-c", SCRIPT, "small-disk"].map(str::to_owned));
    words.extend([disk, data].map(|path| path.display().to_string()));
    words.push(mib.to_string());
    if !keeper::is_root() {
        // And servers don't like to be root.
        words.extend(["unshare".to_owned(), "--user".to_owned()]);
        for kind in ["user", "group"] {
            let id = Command::new("id")
                .arg(if kind == "user" { "-u" } else { "-g" })
                .output();
            let id = String::from_utf8(id.unwrap().stdout).unwrap();
            words.push(format!("--map-{kind}={}", id.trim()));
        }
    }
    words.extend(server);
    words
}
