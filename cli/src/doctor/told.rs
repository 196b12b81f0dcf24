//! What another program says, if it says it soon: no question of the doctor's may hang.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// For one program.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);
/// Longest answer that is read, in bytes; a pipe holds as much without a reader.
const ANSWER: u64 = 32 * 1_024;

/// Standard output of a program that ended well; `None` if it is not there, failed, or took too long.
pub(super) fn told(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let since = Instant::now();
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if since.elapsed() > ENDS_WITHIN => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => sleep(LOOK),
        }
    };
    let mut text = String::new();
    child.stdout.take()?.take(ANSWER).read_to_string(&mut text).ok()?;
    status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_or_is_not_there_has_said_nothing() {
        assert_eq!(told("echo", &["yes"]).as_deref(), Some("yes\n"));
        assert_eq!(told("false", &[]), None);
        assert_eq!(told("dbal-no-such-program", &[]), None);
    }
}
