//! A server process that ends with the test process, however that ends: a shell holds it, and the test holds the shell's
//! standard input.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ends the server when its input ends, and removes its folder.
const SCRIPT: &str = r#"folder=$1; shift
"$@" >>"$folder/log" 2>&1 </dev/null &
server=$!
echo $server >"$folder/pid.new" && mv "$folder/pid.new" "$folder/pid"
trap '' INT TERM HUP
read line
kill -9 $server 2>/dev/null
wait $server 2>/dev/null
[ -e "$folder/keep" ] || rm -rf "$folder""#;

/// Starts `command`. Its number is in `folder/pid`, what it says in `folder/log`.
pub fn start(folder: &Path, command: &[String]) -> Child {
    let _ = std::fs::remove_file(folder.join("pid"));
    Command::new("sh")
        .args(["-c", SCRIPT, "keeper"])
        .arg(folder)
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Whether this process is root, which servers don't like to be.
pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0\n")
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Runs a command that has to succeed, and returns what it says.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
