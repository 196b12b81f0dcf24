//! Runs a program on a kernel that seems older than it is: `older-kernel LACK … -- PROGRAM ARGUMENTS`, LACK being `landlock` (no such
//! calls), `landlock-off` (not enabled when it was started), `landlock=N` (this ABI), `mdwe`, `seccomp`, `namespaces` or
//! `sysinfo` (whether there is swap is not known).
//!
//! For tests only, and from outside: a seccomp filter that the program inherits answers in the kernel's place. So no daemon has a
//! switch for it. An answer that is a number and no error has to be given by a process; that is this program once more.

mod answer;

use std::env;
use std::error::Error;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{Command, ExitCode, Stdio};

use answer::{Answer, When};
use libc::{EINVAL, ENOSYS, EOPNOTSUPP, EPERM};

/// landlock_create_ruleset(2): asks for the ABI and makes nothing.
const CREATE_RULESET_VERSION: u32 = 1;

fn main() -> ExitCode {
    let error = match run() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error) => error,
    };
    eprintln!("older-kernel: {error}");
    ExitCode::FAILURE
}

/// Returns only with an error, or when the program whose questions it answers has ended.
fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [word, abi, asking] = arguments.as_slice()
        && word == "--answer"
    {
        return answer_for(abi.parse()?, asking.parse()?);
    }
    let split = arguments.iter().position(|argument| argument == "--");
    let (lacks, program) = split
        .and_then(|at| Some((arguments.get(..at)?, arguments.get(at.checked_add(1)?..)?)))
        .ok_or("usage: older-kernel LACK … -- PROGRAM ARGUMENTS")?;
    let (program, rest) = program.split_first().ok_or("no program is named")?;
    let mut abi = None;
    let mut answers = Vec::new();
    for lack in lacks {
        match lack.split_once('=') {
            Some(("landlock", number)) => abi = Some(number.parse::<u8>()?),
            Some(_) => return Err(format!("no `{lack}` to lack").into()),
            None => answers.extend(answers_without(lack)?),
        }
    }
    // Opened before: a filter that forbids `seccomp` would forbid the other one, too.
    if let Some(abi) = abi {
        let version = When::Argument(2, CREATE_RULESET_VERSION);
        let listener = answer::ask_somebody(libc::SYS_landlock_create_ruleset, version)?;
        start_answering(abi, listener)?;
    }
    if !answers.is_empty() {
        answer::with_errors(&answers)?;
    }
    Err(Command::new(program).args(rest).exec().into())
}

fn answers_without(lack: &str) -> Result<Vec<Answer>, Box<dyn Error>> {
    let landlock = [
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ];
    let all = |errno| {
        landlock
            .map(|call| Answer {
                call,
                when: When::Always,
                errno,
            })
            .to_vec()
    };
    let prctl = |option: i32| Answer {
        call: libc::SYS_prctl,
        when: When::Argument(0, option.unsigned_abs()),
        errno: EINVAL,
    };
    Ok(match lack {
        "landlock" => all(ENOSYS),
        "landlock-off" => all(EOPNOTSUPP),
        "mdwe" => vec![prctl(libc::PR_SET_MDWE), prctl(libc::PR_GET_MDWE)],
        "seccomp" => vec![Answer {
            call: libc::SYS_seccomp,
            when: When::Always,
            errno: ENOSYS,
        }],
        "namespaces" => vec![Answer {
            call: libc::SYS_unshare,
            when: When::Always,
            errno: EPERM,
        }],
        "sysinfo" => vec![Answer {
            call: libc::SYS_sysinfo,
            when: When::Always,
            errno: ENOSYS,
        }],
        other => return Err(format!("no `{other}` to lack").into()),
    })
}

/// Starts this program once more, to answer from the descriptor that it gets as its input. It ends with the one that asks.
fn start_answering(abi: u8, listener: OwnedFd) -> io::Result<()> {
    Command::new(env::current_exe()?)
        .args(["--answer", &abi.to_string(), &std::process::id().to_string()])
        .stdin(Stdio::from(listener))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

fn answer_for(abi: u8, asking: u32) -> Result<(), Box<dyn Error>> {
    let listener = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A signal at the parent's death would not do: a parent that became another user may not send it.
    while parent_id() == asking {
        if answer::is_wanted(&listener)? {
            answer::give(&listener, i64::from(abi))?;
        }
    }
    Ok(())
}
