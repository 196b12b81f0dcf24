//! A terminal that is drawn on: taken over at the beginning, given back at the end, whatever the end is. Four escape sequences and
//! tcsetattr(3); nothing here needs more of a terminal than ECMA-48 and xterm's alternate screen.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::page::Line;
use crate::diagnostics::Colour;

/// Alternate screen, no cursor, no wrapping at the right edge.
const TAKE: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
const GIVE_BACK: &str = "\u{1b}[0m\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
/// Of a terminal that does not say.
const USUAL: (usize, usize) = (80, 24);

/// A terminal in our hands.
pub(super) struct Screen {
    taken: Arc<Mutex<Option<Taken>>>,
    colour: Colour,
}

/// What it was like before.
struct Taken {
    /// Of standard input, if that is the terminal as well.
    input: Option<Termios>,
}

impl Screen {
    /// Takes the terminal over. It is given back when this is dropped, and before a panic is told: in release builds nothing is
    /// dropped then.
    pub(super) fn take() -> io::Result<Self> {
        let input = io::stdin().is_terminal().then(quieted).transpose()?;
        let taken = Arc::new(Mutex::new(Some(Taken { input })));
        let screen = Self {
            taken: Arc::clone(&taken),
            colour: Colour::wanted(),
        };
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back(&taken);
            usual(panic);
        }));
        write(TAKE)?;
        Ok(screen)
    }

    /// Draws all lines over what was there.
    pub(super) fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let (width, height) = size();
        let mut frame = String::from("\u{1b}[H");
        for (position, line) in lines.iter().take(height).enumerate() {
            if position > 0 {
                frame.push_str("\r\n");
            }
            // Before it, not behind it: there the cursor may stand on the last column, and would take what is in it along.
            frame.push_str("\u{1b}[K");
            frame.push_str(&match self.colour {
                Colour::Yes => line.coloured(width),
                Colour::No => line.text(width),
            });
        }
        if lines.len() < height {
            // What was below.
            frame.push_str("\r\n\u{1b}[J");
        }
        write(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back(&self.taken);
    }
}

/// Width and height in characters, asked anew each time.
pub(super) fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or(USUAL, |(width, height)| (width.0.into(), height.0.into()))
}

/// Keys come one by one, unseen, and as keys: Ctrl-C and Ctrl-Z would leave the screen as it is.
fn quieted() -> io::Result<Termios> {
    let before = tcgetattr(io::stdin())?;
    let mut quiet = before.clone();
    cfmakeraw(&mut quiet);
    tcsetattr(io::stdin(), SetArg::TCSANOW, &quiet)?;
    Ok(before)
}

/// Once; a terminal that is gone can't be given back.
fn give_back(taken: &Mutex<Option<Taken>>) {
    let taken = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Taken { input }) = taken {
        let _ = write(GIVE_BACK);
        if let Some(before) = input {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
