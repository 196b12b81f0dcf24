//! A process that locks itself in like a daemon and then does what it is told: an attack, or honest work.
//!
//! `confined PROFILE DIR RUN_AS TASK`, PROFILE being broker, worker, network-worker, unlocked, permissive or starting (not locked in yet),
//! TASK being the name of an attack, `work`, `panic`, `abort` or `status`. What came of it stands on stdout.
#![forbid(unsafe_code)]

mod work;

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dbal_attacks::Target;
use dbal_sandbox::{Mode, Profile, Rules, RunAs, Setup, State};

fn main() -> ExitCode {
    match run() {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [profile, folder, run_as, task] = arguments.as_slice() else {
        return Err("usage: confined PROFILE DIR RUN_AS TASK".into());
    };
    let is_starting = profile == "starting";
    let setup = if profile == "unlocked" {
        None
    } else {
        Some(Setup::begin()?)
    };
    let (mode, profile) = match profile.as_str() {
        "starting" | "unlocked" => (Mode::Strict, "worker"),
        "permissive" => (Mode::Permissive, "worker"),
        other => (Mode::Strict, other),
    };
    let folder = Path::new(folder);
    let profile = match profile {
        "broker" => Profile::Broker,
        "worker" => Profile::Worker { network: false },
        "network-worker" => Profile::Worker { network: true },
        other => return Err(format!("no profile `{other}`").into()),
    };
    // As the daemons do: everything that needs a right comes before.
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    let address = listener.local_addr()?;
    let target = target(folder, &accepted)?;
    let Some(setup) = setup.filter(|_| !is_starting) else {
        return attack(task, &target);
    };
    let is_broker = profile == Profile::Broker;
    let rules = Rules {
        profile,
        read: vec![folder.join("read")],
        write: if is_broker {
            Vec::new()
        } else {
            vec![folder.join("write")]
        },
        connect_ports: vec![address.port()],
        leave_network: is_broker,
        run_as: if run_as == "-" {
            None
        } else {
            Some(RunAs::resolve(run_as)?)
        },
    };
    let locked = setup.lock(mode, &rules)?;
    match task.as_str() {
        "work" if is_broker => work::as_broker(folder, listener, client, accepted),
        "work" => {
            if profile == (Profile::Worker { network: true }) {
                TcpStream::connect(address)?;
            }
            work::as_worker(folder)
        }
        "panic" => work::panic(),
        "abort" => std::process::abort(),
        "status" => {
            for layer in locked.layers() {
                match &layer.state {
                    State::InForce => println!("{} in force", layer.name),
                    State::Missing(why) => println!("{} missing: {why}", layer.name),
                    State::Off => println!("{} off", layer.name),
                }
            }
            println!("landlock {}", locked.landlock());
            println!("ready");
            io::stdout().flush()?;
            // Until the test has looked at /proc and closes our input.
            io::stdin().read_to_string(&mut String::new())?;
            Ok("done".to_owned())
        }
        name => attack(name, &target),
    }
}

fn attack(name: &str, target: &Target) -> Result<String, Box<dyn Error>> {
    let attack = dbal_attacks::all()
        .find(|attack| attack.name == name)
        .ok_or_else(|| format!("no attack `{name}`"))?;
    Ok(match (attack.run)(target) {
        Ok(()) => "worked".to_owned(),
        Err(errno) => format!("refused {}", errno.0),
    })
}

/// What the test left in the folder for the attacks.
fn target(folder: &Path, accepted: &TcpStream) -> Result<Target, Box<dyn Error>> {
    let text = std::fs::read_to_string(folder.join("target"))?;
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next().ok_or("the file `target` is too short");
    Ok(Target {
        victim: next()?.parse()?,
        port: next()?.parse()?,
        abstract_name: next()?.to_owned(),
        outside: folder.join("outside"),
        inside: PathBuf::from(folder).join("write"),
        accepted: accepted.as_raw_fd(),
    })
}
