//! A server that says what a test wants it to say, whatever that is.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Longest that it goes on with one connection.
const ROUNDS: usize = 100_000;

/// A running one. It goes on for as long as the process does.
pub struct Scripted {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Scripted {
    /// Answers each first piece of a request with `answer`, then with `more` again and again with a pause before each, until the
    /// other side hangs up or nothing more is to be said. Then it waits, or closes if `closes`.
    pub fn start(answer: impl Into<Vec<u8>>, more: &'static [u8], pause: Duration, closes: bool) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (answer, count, mut client) = (answer.clone(), Arc::clone(&count), client);
                thread::spawn(move || {
                    let mut buffer = vec![0; 65_536];
                    while client.read(&mut buffer).is_ok_and(|count| count > 0) {
                        count.fetch_add(1, Ordering::SeqCst);
                        if client.write_all(&answer).is_err() {
                            return;
                        }
                        for _ in 0..ROUNDS {
                            if more.is_empty() {
                                break;
                            }
                            thread::sleep(pause);
                            if client.write_all(more).is_err() {
                                return;
                            }
                        }
                        if closes {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, requests }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Pieces of requests that it has read.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
