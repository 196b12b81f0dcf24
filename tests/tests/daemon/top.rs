//! `dbal top` on a terminal, in front of a daemon that works.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use dbal_tests::binaries;
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use dbal_tests::terminal::Terminal;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Leaves the alternate screen, shows the cursor.
const GIVEN_BACK: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// `dbal top`; it ends with the test, whatever comes of that.
struct Top(Child);

impl Top {
    fn start(daemon: &Daemon, terminal: &Terminal, term: &str) -> Self {
        let child = binaries::command("dbal")
            .args(["top", "--interval", "1", "--config"])
            .arg(daemon.folder())
            .env("TERM", term)
            .stdin(terminal.stdio())
            .stdout(terminal.stdio())
            .stderr(terminal.stdio())
            .spawn()
            .expect("dbal runs");
        Self(child)
    }

    fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"));
        kill(pid, signal).expect("it runs");
    }

    fn ended(mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("dbal top does not end");
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has(screen: &[String], words: &str) -> bool {
    screen.iter().any(|row| row.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_does_is_seen_live_and_the_terminal_is_given_back() {
    let daemon = Daemon::start();
    let mut terminal = Terminal::new(80, 24);
    let before = terminal.settings();
    let top = Top::start(&daemon, &terminal, "xterm");
    let (done, mut is_done) = tokio::sync::oneshot::channel::<()>();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let traffic = tokio::spawn(async move {
        while is_done.try_recv().is_err() {
            client.call("list", json!(["Note"])).await.unwrap();
            client.call("create", json!(["User", {}])).await.unwrap_err();
        }
    });
    let screen = terminal.wait("methods, entities and denials", |screen| {
        has(screen, "list ") && has(screen, "Note list") && has(screen, "User create") && has(screen, "403: ")
    });
    assert!(screen.len() <= 24, "{}", screen.join("\n"));
    assert!(
        screen.iter().all(|row| row.chars().count() <= 80),
        "{}",
        screen.join("\n")
    );
    for words in [
        "healthy",
        "sqlite answers",
        "sandbox",
        "audit",
        "pool",
        "p99",
        "q quit",
    ] {
        assert!(has(&screen, words), "{words}:\n{}", screen.join("\n"));
    }
    assert!(
        !has(&screen, "MISSING") && !has(&screen, "GONE"),
        "{}",
        screen.join("\n")
    );

    terminal.press("s");
    terminal.wait("another order", |screen| has(screen, "by p99"));
    terminal.press("h");
    terminal.wait("help", |screen| has(screen, "faulty: 400"));
    terminal.press("hp");
    terminal.wait("a pause", |screen| has(screen, "PAUSED"));
    terminal.press("p");
    terminal.resize(100, 40);
    top.send(Signal::SIGWINCH);
    terminal.wait("forty rows", |screen| {
        screen.len() == 40 && screen[39].contains("q quit")
    });

    terminal.press("q");
    assert!(top.ended().success());
    assert!(terminal.settings() == before, "the terminal is set as it was");
    terminal.wait_for_end(GIVEN_BACK);
    done.send(()).unwrap();
    traffic.await.unwrap();
}

#[test]
fn however_it_is_ended_the_terminal_is_given_back() {
    let daemon = Daemon::start();
    enum End {
        Key(&'static str),
        Signal(Signal),
    }
    let table = [
        ("Ctrl-C", End::Key("\u{3}")),
        ("SIGINT", End::Signal(Signal::SIGINT)),
        ("SIGTERM", End::Signal(Signal::SIGTERM)),
        ("SIGHUP", End::Signal(Signal::SIGHUP)),
    ];
    for (how, end) in table {
        let mut terminal = Terminal::new(80, 24);
        let before = terminal.settings();
        let top = Top::start(&daemon, &terminal, "xterm");
        terminal.wait("a page", |screen| has(screen, "healthy"));
        match end {
            End::Key(key) => terminal.press(key),
            End::Signal(signal) => top.send(signal),
        }
        assert!(top.ended().success(), "{how}");
        assert!(terminal.settings() == before, "{how}");
        terminal.wait_for_end(GIVEN_BACK);
    }
}

#[test]
fn a_daemon_that_ends_is_told_without_ending_the_view() {
    let daemon = Daemon::start();
    let mut terminal = Terminal::new(80, 24);
    let top = Top::start(&daemon, &terminal, "xterm");
    terminal.wait("a page", |screen| has(screen, "healthy"));
    daemon.stop();
    terminal.wait("silence", |screen| has(&screen[..1], "can't be reached"));
    terminal.press("q");
    assert!(top.ended().success());
}

#[test]
fn a_terminal_that_can_not_be_drawn_on_gets_one_page() {
    let daemon = Daemon::start();
    let terminal = Terminal::new(80, 24);
    assert!(Top::start(&daemon, &terminal, "dumb").ended().success());
    terminal.wait("a page", |screen| has(screen, "healthy"));
    assert!(!terminal.written().contains('\u{1b}'), "{}", terminal.written());
}

#[test]
fn a_terminal_that_takes_nothing_keeps_no_signal_waiting() {
    let daemon = Daemon::start();
    let terminal = Terminal::stalled(200, 60);
    let top = Top::start(&daemon, &terminal, "xterm");
    // Each has a page drawn, until nothing fits any more.
    for _ in 0..150 {
        std::thread::sleep(Duration::from_millis(10));
        top.send(Signal::SIGWINCH);
    }
    top.send(Signal::SIGTERM);
    assert!(top.ended().success());
}
