//! A proxy that stands between a client and a server, and fails when it is told to.

use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

/// Bytes that a crumbling connection passes on at once.
const CRUMB: usize = 12;

/// Passes bytes on until a client's bytes contain `word`; then it cuts the connection, after it has passed them on or before.
/// Returns its port on 127.0.0.1. It goes on for as long as the process does.
pub fn cutting(server: u16, word: &'static str, is_passed_on: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) {
                pass_on(client, upstream, word, is_passed_on);
            }
        }
    });
    port
}

fn pass_on(mut client: TcpStream, mut upstream: TcpStream, word: &'static str, is_passed_on: bool) {
    let (mut back, mut answers) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    thread::spawn(move || {
        let _ = copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(count) = client.read(&mut buffer) {
            let bytes = &buffer[..count];
            let is_word = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            if is_word {
                let _ = client.shutdown(Shutdown::Both);
            }
            if count == 0 || (is_word && !is_passed_on) || upstream.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = upstream.shutdown(Shutdown::Both);
    });
}

/// Passes a server's bytes on in crumbs of a few, each by itself, as a network may do it. Returns its port on 127.0.0.1. It goes on for as
/// long as the process does.
pub fn crumbling(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let Ok(mut upstream) = TcpStream::connect(("127.0.0.1", server)) else {
                continue;
            };
            client.set_nodelay(true).unwrap();
            let (mut back, mut answers) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || {
                let mut crumb = [0; CRUMB];
                while let Ok(count @ 1..) = answers.read(&mut crumb) {
                    if back.write_all(&crumb[..count]).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_micros(20));
                }
                let _ = back.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let _ = copy(&mut client, &mut upstream);
                let _ = upstream.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

/// A cable that is cut once, when the word goes through it.
pub struct Cable {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

/// When a cable is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never sees the word.
    Before,
    /// The server does what it says, and its answer is lost.
    After,
    /// The word is the server's, and the last that the client gets of its answer.
    InAnswer,
    /// Not at all: the word is taken out, and answered with these bytes.
    Answered(&'static [u8]),
}

impl Cable {
    /// To this port on 127.0.0.1. It is cut once it is armed.
    pub fn new(server: u16, word: &'static [u8], cut: Cut) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::new(AtomicBool::new(true));
        let state = Arc::clone(&is_cut);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                let (back, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let answers = Arc::clone(&state);
                thread::spawn(move || {
                    answer(back, to_client, (cut == Cut::InAnswer).then_some(word), &answers)
                });
                let state = Arc::clone(&state);
                thread::spawn(move || forward(client, server, word, cut, &state));
            }
        });
        Self { port, is_cut }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on the word cuts it, once.
    pub fn arm(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }

    /// Whether it was cut since, or was never armed.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }
}

fn answer(mut server: TcpStream, mut client: TcpStream, word: Option<&[u8]>, is_cut: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    loop {
        let read = server.read(&mut buffer).unwrap_or(0);
        let mut bytes = &buffer[..read];
        let end = word.and_then(|word| {
            let at = bytes.windows(word.len()).position(|window| window == word)?;
            Some(at + word.len())
        });
        let cuts = end.is_some() && !is_cut.swap(true, Ordering::SeqCst);
        if let Some(end) = end.filter(|_| cuts) {
            bytes = &bytes[..end];
        }
        if read == 0 || client.write_all(bytes).is_err() || cuts {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn forward(mut client: TcpStream, mut server: TcpStream, word: &[u8], cut: Cut, is_cut: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    loop {
        let read = client.read(&mut buffer).unwrap_or(0);
        let bytes = &buffer[..read];
        let is_here = cut != Cut::InAnswer && bytes.windows(word.len()).any(|window| window == word);
        let cuts = is_here && !is_cut.swap(true, Ordering::SeqCst);
        if cuts
            && let Cut::Answered(answer) = cut
            && client.write_all(answer).is_ok()
        {
            continue;
        }
        if cuts && cut == Cut::After {
            // The server does it, and its answer is lost.
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.write_all(bytes);
            thread::sleep(Duration::from_millis(300));
        }
        if read == 0 || cuts || server.write_all(bytes).is_err() {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Stands before a server and lets nobody in while it is shut.
#[derive(Clone)]
pub struct Gate {
    port: u16,
    /// The server's port.
    server: Arc<AtomicU16>,
    is_shut: Arc<AtomicBool>,
}

impl Gate {
    /// Before the server on this port of 127.0.0.1.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self {
            port: listener.local_addr().unwrap().port(),
            server: Arc::new(AtomicU16::new(server)),
            is_shut: Arc::default(),
        };
        let (server, is_shut) = (Arc::clone(&gate.server), Arc::clone(&gate.is_shut));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_shut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server.load(Ordering::SeqCst))) else {
                    continue;
                };
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ] {
                    thread::spawn(move || {
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        gate
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on it leads to this port of 127.0.0.1. Who is in stays where he is.
    pub fn lead_to(&self, server: u16) {
        self.server.store(server, Ordering::SeqCst);
    }

    /// Shuts or opens it. Who is in stays in.
    pub fn shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::SeqCst);
    }
}

/// A network that stalls: while it is held nothing passes, in neither direction, and nobody is told.
pub struct Stall {
    port: u16,
    is_held: Arc<AtomicBool>,
}

impl Stall {
    /// Before the server on this port of 127.0.0.1. The first connection on which a client says the word stalls for ever, and
    /// no other.
    pub fn before(server: u16, word: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stall = Self {
            port: listener.local_addr().unwrap().port(),
            is_held: Arc::default(),
        };
        let (is_held, is_said) = (Arc::clone(&stall.is_held), Arc::new(AtomicBool::new(false)));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                let is_stalled = Arc::new(AtomicBool::new(false));
                for (from, to, word) in [
                    (
                        client.try_clone().unwrap(),
                        server.try_clone().unwrap(),
                        Some(word),
                    ),
                    (server, client, None),
                ] {
                    let all = Arc::clone(&is_held);
                    let own = Arc::clone(&is_stalled);
                    let said = Arc::clone(&is_said);
                    let word = word.map(|word| (word, said));
                    thread::spawn(move || stalling(from, to, word, [&all, &own]));
                }
            }
        });
        stall
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Holds what passes, or lets it go on.
    pub fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::SeqCst);
    }
}

fn stalling(
    mut from: TcpStream,
    mut to: TcpStream,
    word: Option<(&[u8], Arc<AtomicBool>)>,
    [all, own]: [&AtomicBool; 2],
) {
    let mut buffer = vec![0; 65_536];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        let bytes = &buffer[..read];
        if let Some((word, is_said)) = &word
            && bytes.windows(word.len()).any(|window| window == *word)
            && !is_said.swap(true, Ordering::SeqCst)
        {
            own.store(true, Ordering::SeqCst);
        }
        while all.load(Ordering::SeqCst) || own.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        if read == 0 || to.write_all(bytes).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}
