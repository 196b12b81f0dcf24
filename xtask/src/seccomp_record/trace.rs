//! What strace wrote: a file for each thread, `DAEMON.PROCESS.THREAD`, a line for each call.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One call of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    /// Its name in the kernel, `read`.
    pub(super) name: &'a str,
    /// As they were given; the missing ones are 0.
    pub(super) arguments: [u64; 6],
}

/// A thread's file.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    pub(super) path: PathBuf,
    pub(super) daemon: String,
    pub(super) process: u32,
    pub(super) is_first: bool,
}

/// All of them, a process's first thread before its others.
pub(super) fn threads(folder: &Path) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut parts = name.rsplitn(3, '.');
        let (Some(thread), Some(process), Some(daemon)) = (
            parts.next().and_then(|part| part.parse::<u32>().ok()),
            parts.next().and_then(|part| part.parse::<u32>().ok()),
            parts.next(),
        ) else {
            continue;
        };
        threads.push(Thread {
            path: path.clone(),
            daemon: daemon.to_owned(),
            process,
            is_first: thread == process,
        });
    }
    threads.sort_by_key(|thread| (thread.process, !thread.is_first));
    Ok(threads)
}

/// How many bytes they are.
pub(super) fn size(folder: &Path) -> io::Result<u64> {
    threads(folder)?
        .iter()
        .map(|thread| Ok(fs::metadata(&thread.path)?.len()))
        .sum()
}

/// Those that have no last line yet.
pub(super) fn unended(folder: &Path) -> io::Result<Vec<PathBuf>> {
    const LAST: u64 = 200;
    let mut open = Vec::new();
    for Thread { path, .. } in threads(folder)? {
        let mut file = File::open(&path)?;
        let from = file.metadata()?.len().saturating_sub(LAST);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        if !String::from_utf8_lossy(&end)
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("+++ "))
        {
            open.push(path);
        }
    }
    Ok(open)
}

/// Every call of a thread, in order.
pub(super) fn calls(path: &Path, mut each: impl FnMut(Call<'_>)) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if let Some(call) = parse(&line) {
            each(call);
        }
        line.clear();
    }
    Ok(())
}

/// `openat(0xffffff9c, 0x7f0b0e6aa0b1, 0x80000, 0) = 0x3`. Lines about signals and ends have no name before a bracket.
fn parse(line: &str) -> Option<Call<'_>> {
    let (name, rest) = line.split_once('(')?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let inside = rest.split(')').next().unwrap_or_default();
    let mut arguments = [0; 6];
    for (argument, text) in arguments.iter_mut().zip(inside.split(',')) {
        *argument = number(text.trim());
    }
    Some(Call { name, arguments })
}

fn number(text: &str) -> u64 {
    let text = text.split(' ').next().unwrap_or_default();
    text.strip_prefix("0x").map_or_else(
        || text.parse().unwrap_or(0),
        |digits| u64::from_str_radix(digits, 16).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_strace_writes_them() {
        let read = |line| parse(line).map(|call| (call.name.to_owned(), call.arguments));
        assert_eq!(
            read("openat(0xffffff9c, 0x7f0b0e6aa0b1, 0x80000, 0) = 0x3\n"),
            Some((
                "openat".to_owned(),
                [0xffff_ff9c, 0x7f0b_0e6a_a0b1, 0x8_0000, 0, 0, 0]
            ))
        );
        assert_eq!(
            read("seccomp(0x1, 0x1, 0x7ffd)               = 0 (INJECTED)\n"),
            Some(("seccomp".to_owned(), [1, 1, 0x7ffd, 0, 0, 0]))
        );
        assert_eq!(
            read("getpid()                                = 0x606a\n"),
            Some(("getpid".to_owned(), [0; 6]))
        );
        assert_eq!(
            read("exit_group(0 <unfinished ...>)          = ?\n"),
            Some(("exit_group".to_owned(), [0; 6]))
        );
        for other in [
            "+++ exited with 0 +++\n",
            "--- SIGTERM {si_signo=SIGTERM} ---\n",
            "\n",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
