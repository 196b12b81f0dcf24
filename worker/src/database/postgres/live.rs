//! One open connection: its prepared statements, the order of what runs on it, and how to stop that.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use dbal_sql::All;
use futures_util::FutureExt;
use tokio::sync::{Notify, OnceCell};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Statement};

use super::servers::{Connected, Driver, Servers};
use super::trouble::is_no_replication;

/// Prepared statements that each connection keeps. A shape of a plan needs one or two.
const STATEMENTS: usize = 256;

/// An open connection.
pub(super) struct Live {
    pub(super) client: Client,
    cancel: CancelToken,
    endpoint: usize,
    takes_writes: bool,
    servers: Rc<Servers>,
    /// Its end closes the socket.
    driver: AbortHandle,
    statements: RefCell<Statements>,
    /// What was sent and is not answered, in the order in which the server runs it.
    under_way: RefCell<VecDeque<Turn>>,
    next: Cell<u64>,
    /// Since when the first of them has been the first.
    first_since: Cell<Instant>,
    /// Who uses it.
    pub(super) users: Cell<Users>,
    is_retired: Cell<bool>,
    /// Rung when it is retired.
    pub(super) retired: Notify,
    /// Whether the server said of a commit that it stands on this server and perhaps on no other.
    is_unreplicated: Rc<Cell<bool>>,
}

/// Who uses a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Users {
    /// So many reads of one statement each, one behind the other. Zero: nobody.
    Reads(usize),
    /// One call alone.
    One,
}

impl Users {
    /// Calls.
    pub(super) fn count(self) -> usize {
        match self {
            Users::Reads(count) => count,
            Users::One => 1,
        }
    }
}

/// The task that drives a connection, and why it ended.
pub(super) type Driving = JoinHandle<Result<(), tokio_postgres::Error>>;

/// Drives a connection until it ends. What the server says beside an answer is seen before that answer.
async fn drive(mut driver: Driver, is_unreplicated: Rc<Cell<bool>>) -> Result<(), tokio_postgres::Error> {
    std::future::poll_fn(|context| {
        while let Some(message) = std::task::ready!(driver.poll_message(context)) {
            match message {
                Ok(AsyncMessage::Notice(notice)) if is_no_replication(&notice) => is_unreplicated.set(true),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// The place of a statement on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(u64);

impl Live {
    /// Drives it in a task of its own, which ends when the connection does.
    pub(super) fn new(connected: Connected, servers: Rc<Servers>, driver: Driver) -> (Self, Driving) {
        let Connected {
            client,
            cancel,
            endpoint,
            version: _,
            is_read_only,
            is_superuser: _,
        } = connected;
        let is_unreplicated = Rc::new(Cell::new(false));
        let driving = tokio::task::spawn_local(drive(driver, Rc::clone(&is_unreplicated)));
        let live = Self {
            client,
            cancel,
            endpoint,
            takes_writes: !is_read_only,
            servers,
            driver: driving.abort_handle(),
            statements: RefCell::default(),
            under_way: RefCell::default(),
            next: Cell::new(0),
            first_since: Cell::new(Instant::now()),
            users: Cell::new(Users::Reads(0)),
            is_retired: Cell::new(false),
            retired: Notify::new(),
            is_unreplicated,
        };
        (live, driving)
    }

    /// Whether another call may use it.
    pub(super) fn is_open(&self) -> bool {
        !self.is_retired.get() && !self.client.is_closed()
    }

    /// No other call gets it; it is replaced once those that use it are done.
    pub(super) fn retire(&self) {
        self.is_retired.set(true);
        self.retired.notify_one();
    }

    /// Closes it under whoever uses it.
    pub(super) fn kill(&self) {
        self.retire();
        self.driver.abort();
    }

    /// The statement, prepared once. Whoever wants the same one at the same time waits for the first.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        let cell = self.statements.borrow_mut().cell(sql);
        let prepared = cell.get_or_try_init(|| self.client.prepare(sql)).await?;
        Ok(prepared.clone())
    }

    /// A statement for so many rows, the first of which has `one` for itself: its parameters tell those of all.
    pub(super) async fn prepare_all(
        &self,
        all: &All,
        one: &Statement,
        rows: usize,
    ) -> Result<Statement, tokio_postgres::Error> {
        let sql = all.statement.sql();
        // What is left open the server finds itself.
        let (row, behind) = one.params().split_at_checked(all.of_one).unwrap_or_default();
        let rows = std::iter::repeat_n(row, rows).flatten();
        let types: Vec<Type> = rows
            .chain(behind)
            .take(all.statement.parameters().len())
            .cloned()
            .collect();
        let cell = self.statements.borrow_mut().cell(sql);
        let prepared = cell
            .get_or_try_init(|| self.client.prepare_typed(sql, &types))
            .await?;
        Ok(prepared.clone())
    }

    /// Sends a command of our own words and leaves its answer to nobody.
    pub(super) fn send_and_forget(&self, sql: &'static str) {
        // The first poll sends.
        let _ = self.client.batch_execute(sql).now_or_never();
    }

    /// Takes the next place: to be called with nothing awaited between it and the sending.
    pub(super) fn queue_up(self: &Rc<Self>) -> Place {
        let turn = Turn(self.next.get());
        self.next.set(self.next.get().wrapping_add(1));
        let mut under_way = self.under_way.borrow_mut();
        if under_way.is_empty() {
            self.first_since.set(Instant::now());
        }
        under_way.push_back(turn);
        Place {
            live: Rc::clone(self),
            turn,
        }
    }

    /// Whether this is what the server runs at the moment.
    pub(super) fn is_first(&self, turn: Turn) -> bool {
        self.under_way.borrow().front() == Some(&turn)
    }

    /// Since when the server has been running the same statement; none when it runs nothing.
    pub(super) fn busy_since(&self) -> Option<Instant> {
        (!self.under_way.borrow().is_empty()).then(|| self.first_since.get())
    }

    /// Stops what the server runs on it at the moment.
    pub(super) async fn cancel(&self) {
        self.servers.cancel(&self.cancel, self.endpoint).await;
    }

    /// Before a commit of which [`Live::is_unreplicated`] is asked.
    pub(super) fn begin_commit(&self) {
        self.is_unreplicated.set(false);
    }

    /// Whether the commit that was answered last is one that its server did not wait for any longer, as somebody wanted it
    /// to stop: it stands there, and perhaps on no other server.
    pub(super) fn is_unreplicated(&self) -> bool {
        self.is_unreplicated.get()
    }

    /// Whether its server took writes when it was opened.
    pub(super) fn takes_writes(&self) -> bool {
        self.takes_writes
    }

    /// The server that it leads to.
    pub(super) fn endpoint(&self) -> usize {
        self.endpoint
    }
}

/// A place in the order; left when dropped.
pub(super) struct Place {
    live: Rc<Live>,
    pub(super) turn: Turn,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.live.under_way.borrow_mut();
        if under_way.front() == Some(&self.turn) {
            under_way.pop_front();
            self.live.first_since.set(Instant::now());
        } else {
            under_way.retain(|turn| *turn != self.turn);
        }
    }
}

/// Prepared statements by their text; the longest unused makes room.
#[derive(Default)]
struct Statements {
    by_text: HashMap<String, Kept>,
    clock: u64,
}

struct Kept {
    statement: Rc<OnceCell<Statement>>,
    used: u64,
}

impl Statements {
    fn cell(&mut self, sql: &str) -> Rc<OnceCell<Statement>> {
        self.clock = self.clock.wrapping_add(1);
        if let Some(kept) = self.by_text.get_mut(sql) {
            kept.used = self.clock;
            return Rc::clone(&kept.statement);
        }
        if self.by_text.len() >= STATEMENTS {
            let oldest = self.by_text.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(text) = oldest.map(|(text, _)| text.clone()) {
                // Dropped, it is closed on the server as well.
                self.by_text.remove(&text);
            }
        }
        let statement = Rc::new(OnceCell::new());
        let kept = Kept {
            statement: Rc::clone(&statement),
            used: self.clock,
        };
        self.by_text.insert(sql.to_owned(), kept);
        statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_statement_makes_room() {
        let mut statements = Statements::default();
        let first = statements.cell("0");
        for nth in 1..STATEMENTS {
            statements.cell(&nth.to_string());
        }
        assert!(Rc::ptr_eq(&first, &statements.cell("0")));
        statements.cell("one more");
        assert_eq!(statements.by_text.len(), STATEMENTS);
        assert!(Rc::ptr_eq(&first, &statements.cell("0")), "used since");
        assert!(!statements.by_text.contains_key("1"));
    }
}
