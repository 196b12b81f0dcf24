//! Draws in a thread of its own: a terminal that takes nothing, because a connection hangs, holds up neither keys nor signals.

use std::io;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::spawn;
use std::time::Duration;

use super::page::Line;
use super::screen::Screen;

/// How long a terminal may take to be given back; one that takes longer is not there any more.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(1);

/// A screen that is being drawn on.
pub(super) struct Drawing {
    wanted: Arc<(Mutex<Wanted>, Condvar)>,
    ended: Receiver<io::Result<()>>,
}

/// What is to be on the screen. Of several pages that come while one is drawn the last counts.
#[derive(Default)]
struct Wanted {
    page: Option<Vec<Line>>,
    is_over: bool,
}

impl Drawing {
    /// On this screen from now on.
    pub(super) fn on(screen: Screen) -> Self {
        let wanted = Arc::new((Mutex::new(Wanted::default()), Condvar::new()));
        let (end, ended) = mpsc::channel();
        let shared = Arc::clone(&wanted);
        spawn(move || {
            let drawn = draw(&screen, &shared);
            // The terminal is given back before anybody hears of the end.
            drop(screen);
            let _ = end.send(drawn);
        });
        Self { wanted, ended }
    }

    /// Has a page drawn; fails where the terminal is gone.
    pub(super) fn show(&self, page: Vec<Line>) -> io::Result<()> {
        match self.ended.try_recv() {
            Ok(ended) => return ended,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        self.want(|wanted| wanted.page = Some(page));
        Ok(())
    }

    /// Gives the terminal back, if it takes that.
    pub(super) fn end(self) {
        self.want(|wanted| wanted.is_over = true);
        let _ = self.ended.recv_timeout(GIVEN_BACK_WITHIN);
    }

    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        let (wanted, changed) = &*self.wanted;
        change(&mut wanted.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_one();
    }
}

fn draw(screen: &Screen, (wanted, changed): &(Mutex<Wanted>, Condvar)) -> io::Result<()> {
    loop {
        let guard = wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = changed
            .wait_while(guard, |wanted| wanted.page.is_none() && !wanted.is_over)
            .unwrap_or_else(PoisonError::into_inner);
        if now.is_over {
            return Ok(());
        }
        let page = now.page.take();
        // Not while it is drawn: others want something meanwhile.
        drop(now);
        screen.draw(&page.unwrap_or_default())?;
    }
}
