//! A proxy that knows where a request and where an answer begins, in what a worker and a server say to each other: it cuts the
//! connection of one write at the request or the answer that it is told to, whatever that is about.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// More than a worker and a server say in one message here.
const LONGEST: usize = 64 << 20;

/// How the two speak, without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// PostgreSQL's protocol 3 ("Message Formats"): a letter, a length that counts itself, the rest.
    Postgres,
    /// MySQL's ("Protocol Basics"): a length of three bytes, a number that each command begins anew, the rest.
    Mysql,
}

/// Where a connection is cut. Requests and answers are counted from the beginning of the transaction, which is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The server never sees the end of the request.
    Request,
    /// The server has done what was asked, and nothing of its answer arrives.
    Answer,
    /// Nor does the last that it says of it.
    EndOfAnswer,
}

/// What is done beside cutting, before either side can notice.
pub type Act = Arc<dyn Fn() + Send + Sync>;

/// The cut that is to come.
#[derive(Clone)]
struct Plan {
    at: At,
    nth: usize,
    /// Transactions that are still to be cut.
    left: usize,
    act: Act,
    /// Until they are disarmed: what comes on a connection behind a transaction is no part of it.
    is_armed: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    is_armed: Arc<AtomicBool>,
    cuts: usize,
}

/// The proxy. It goes on for as long as the process does.
#[derive(Clone)]
pub struct Scissors {
    port: u16,
    speech: Speech,
    state: Arc<Mutex<State>>,
}

/// What went through one connection.
#[derive(Default)]
struct Progress {
    requests: usize,
    answers: usize,
    /// Of the transaction that is to be cut: what stands before it.
    victim: Option<(usize, Plan)>,
}

impl Scissors {
    /// Before the server on this port of 127.0.0.1. They cut nothing before they are told to.
    pub fn before(server: u16, speech: Speech) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scissors = Self {
            port: listener.local_addr().unwrap().port(),
            speech,
            state: Arc::default(),
        };
        let each = scissors.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                }
                let progress = Arc::new(Mutex::new(Progress::default()));
                let ends = || (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (from, to) = ends();
                let (there, seen) = (each.clone(), Arc::clone(&progress));
                thread::spawn(move || there.requests(from, to, &seen));
                let (to, from) = ends();
                let back = each.clone();
                thread::spawn(move || back.answers(from, to, &progress));
            }
        });
        scissors
    }

    /// Their port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next so many transactions are cut, each on its own connection, if they get as far as that.
    pub fn arm(&self, at: At, nth: usize, transactions: usize, act: Act) {
        let is_armed = Arc::new(AtomicBool::new(true));
        let mut state = locked(&self.state);
        state.cuts = 0;
        state.is_armed = Arc::clone(&is_armed);
        state.plan = Some(Plan {
            at,
            nth,
            left: transactions,
            act,
            is_armed,
        });
    }

    /// Nothing more is cut. Tells how often something was since they were armed.
    pub fn disarm(&self) -> usize {
        let mut state = locked(&self.state);
        state.plan = None;
        state.is_armed.store(false, Ordering::SeqCst);
        state.cuts
    }

    /// The plan, if a transaction begins with this message and is to be cut.
    fn planned(&self, message: &[u8]) -> Option<Plan> {
        let word: &[u8] = match self.speech {
            Speech::Postgres => b"BEGIN ISOLATION LEVEL",
            Speech::Mysql => b"\x03START TRANSACTION",
        };
        if !message.windows(word.len()).any(|window| window == word) {
            return None;
        }
        let mut state = locked(&self.state);
        let plan = state.plan.as_mut()?;
        plan.left = plan.left.saturating_sub(1);
        let planned = plan.clone();
        if plan.left == 0 {
            state.plan = None;
        }
        Some(planned)
    }

    fn cut(&self, plan: &Plan, ends: [&TcpStream; 2]) {
        (plan.act)();
        locked(&self.state).cuts += 1;
        for end in ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn requests(&self, mut client: TcpStream, mut server: TcpStream, progress: &Mutex<Progress>) {
        let mut is_first = true;
        while let Ok(message) = self.message(&mut client, is_first) {
            let is_request = match self.speech {
                // What a server answers with ReadyForQuery: a start, a query, a Sync.
                Speech::Postgres => is_first || matches!(message.first(), Some(b'Q' | b'S')),
                // A command that is answered: neither COM_QUIT, nor one that adds to a statement or closes it.
                Speech::Mysql => {
                    message.get(3) == Some(&0) && !matches!(message.get(4), Some(0x01 | 0x18 | 0x19))
                }
            };
            is_first = false;
            {
                let mut progress = locked(progress);
                if is_request {
                    progress.requests += 1;
                }
                if let Some(plan) = self.planned(&message) {
                    progress.victim = Some((progress.requests - 1, plan));
                }
                if let Some((before, plan)) = &progress.victim
                    && is_request
                    && plan.at == At::Request
                    && plan.is_armed.load(Ordering::SeqCst)
                    && progress.requests == before + plan.nth
                {
                    self.cut(plan, [&client, &server]);
                    return;
                }
            }
            if server.write_all(&message).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    }

    fn answers(&self, mut server: TcpStream, mut client: TcpStream, progress: &Mutex<Progress>) {
        while let Ok(mut message) = self.message(&mut server, false) {
            {
                let mut progress = locked(progress);
                let is_last = match self.speech {
                    Speech::Postgres => message.first() == Some(&b'Z'),
                    // The first is enough: what is asked for is done by then, and that command is not done before it is read.
                    Speech::Mysql => message.get(3) == Some(&1),
                };
                let is_cut_at = |at| {
                    let victim = progress.victim.as_ref();
                    victim.is_some_and(|(before, plan)| {
                        plan.at == at
                            && plan.is_armed.load(Ordering::SeqCst)
                            && progress.answers + 1 == before + plan.nth
                    })
                };
                let (is_lost, is_torn) = (is_cut_at(At::Answer), is_cut_at(At::EndOfAnswer));
                if is_last && let Some((_, plan)) = &progress.victim {
                    if is_torn && self.speech == Speech::Mysql {
                        message.pop();
                        let _ = client.write_all(&message);
                    }
                    if is_lost || is_torn {
                        self.cut(plan, [&client, &server]);
                        return;
                    }
                }
                if is_last {
                    progress.answers += 1;
                }
                // Of MySQL's these are the last words of the answer before.
                if is_lost && self.speech == Speech::Postgres {
                    continue;
                }
            }
            if client.write_all(&message).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }

    fn message(&self, from: &mut TcpStream, is_first: bool) -> io::Result<Vec<u8>> {
        let head = match self.speech {
            // The first one of a client has no letter.
            Speech::Postgres if is_first => 4,
            Speech::Postgres => 5,
            Speech::Mysql => 4,
        };
        let mut message = vec![0; head];
        from.read_exact(&mut message)?;
        let rest = match (self.speech, message.as_slice()) {
            (Speech::Postgres, [.., a, b, c, d]) => {
                let length = u32::from_be_bytes([*a, *b, *c, *d]);
                usize::try_from(length).unwrap().saturating_sub(4)
            }
            (Speech::Mysql, [a, b, c, _]) => usize::try_from(u32::from_le_bytes([*a, *b, *c, 0])).unwrap(),
            (Speech::Postgres | Speech::Mysql, _) => unreachable!("a head has its length"),
        };
        assert!(rest < LONGEST, "a message of {rest} bytes");
        message.resize(head + rest, 0);
        from.read_exact(&mut message[head..])?;
        Ok(message)
    }
}

/// A thread that panicked has left nothing half-made.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
