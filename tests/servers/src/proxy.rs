//! A proxy that stands between a client and a server, and fails when it is told to.

use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

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
