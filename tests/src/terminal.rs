//! A terminal that a test holds the other end of: what a program draws on it is a text of rows again.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};

/// How long a program may take to draw what it should.
const DRAWS_WITHIN: Duration = Duration::from_secs(20);

/// Both ends of a pseudo-terminal (pty(7)).
pub struct Terminal {
    ours: File,
    /// Kept, so that what the program wrote can be read when it has ended.
    theirs: OwnedFd,
    drawn: Arc<Mutex<Vec<u8>>>,
    columns: Cell<usize>,
}

impl Terminal {
    /// One of so many columns and rows.
    pub fn new(columns: u16, rows: u16) -> Self {
        let terminal = Self::stalled(columns, rows);
        let mut reader = terminal.ours.try_clone().expect("a second descriptor");
        let into = Arc::clone(&terminal.drawn);
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(read) = reader.read(&mut piece) {
                into.lock()
                    .expect("no test panics here")
                    .extend_from_slice(&piece[..read]);
            }
        });
        terminal
    }

    /// One whose other end reads nothing, like that of a connection that hangs.
    pub fn stalled(columns: u16, rows: u16) -> Self {
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a pseudo-terminal");
        // A program that inherits both ends never sees its terminal go.
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a descriptor");
        }
        let ours = File::from(pair.master);
        let drawn = Arc::new(Mutex::new(Vec::new()));
        Self {
            ours,
            theirs: pair.slave,
            drawn,
            columns: Cell::new(columns.into()),
        }
    }

    /// For a program's standard streams.
    pub fn stdio(&self) -> Stdio {
        self.theirs.try_clone().expect("a second descriptor").into()
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.ours
            .write_all(keys.as_bytes())
            .expect("a terminal takes keys");
    }

    /// Makes it larger or smaller. Who draws on it hears of it by SIGWINCH, if it is theirs (tty_ioctl(4)).
    pub fn resize(&self, width: u16, rows: u16) {
        let (columns, rows) = (width.to_string(), rows.to_string());
        let done = Command::new("stty")
            .args(["cols", &columns, "rows", &rows])
            .stdin(self.stdio())
            .status();
        assert!(done.expect("stty runs").success());
        self.columns.set(width.into());
    }

    /// How it is set, to be compared.
    pub fn settings(&self) -> Termios {
        tcgetattr(&self.theirs).expect("a terminal")
    }

    /// All that was written to it so far.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.drawn.lock().expect("no test panics here")).into_owned()
    }

    /// Waits until what was written to it ends so, blanks aside: who wrote it may have ended before it is read here.
    pub fn wait_for_end(&self, ending: &str) {
        let until = Instant::now() + DRAWS_WITHIN;
        while !self.written().trim_end().ends_with(ending) {
            assert!(Instant::now() < until, "{:?}", self.written());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What stands on it now, row by row.
    pub fn screen(&self) -> Vec<String> {
        screen(&self.written(), self.columns.get())
    }

    /// Waits until the screen is as it should be.
    pub fn wait(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let until = Instant::now() + DRAWS_WITHIN;
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "not drawn: {what}\n{}", screen.join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// As much of a terminal as is needed: home, erase to the end of line and screen, line ends, and no wrapping: the cursor stays on the
/// last column. Colours and modes draw nothing.
fn screen(written: &str, columns: usize) -> Vec<String> {
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut letters = written.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => {
                let mut sequence = Vec::new();
                for letter in letters.by_ref() {
                    sequence.push(letter);
                    if letter.is_ascii_alphabetic() {
                        break;
                    }
                }
                match sequence.as_slice() {
                    // The rest of it is not written yet.
                    [] | [.., '[' | ';' | '?' | '0'..='9'] => {}
                    ['[', 'H'] => (row, column) = (0, 0),
                    ['[', 'K'] => rows[row].truncate(column),
                    ['[', 'J'] => {
                        rows[row].truncate(column);
                        rows.truncate(row + 1);
                    }
                    ['[', .., 'm' | 'h' | 'l'] => {}
                    other => panic!("an unknown sequence: {other:?}"),
                }
            }
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if rows.len() <= row {
                    rows.push(Vec::new());
                }
            }
            letter => {
                assert!(!letter.is_control(), "{letter:?} is drawn");
                let cells = &mut rows[row];
                cells.resize(cells.len().max(column + 1), ' ');
                cells[column] = letter;
                column = (column + 1).min(columns - 1);
            }
        }
    }
    rows.iter().map(|row| row.iter().collect()).collect()
}
