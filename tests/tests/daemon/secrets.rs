//! What opens the worker's configuration is gone once it serves: not in its memory, not behind a descriptor. Run as root.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use dbal_tests::daemon::{Daemon, reconfigure_worker};
use dbal_tests::processes::Process;

#[test]
fn neither_the_identity_nor_the_opened_configuration_is_in_the_workers_memory() {
    let (_, folder, _) = Daemon::start().stop();
    // In a text of some pages: what is wiped at its beginning only is found by these.
    let markers = [marker(), marker()];
    reconfigure_worker(&folder.path().join("dev"), |shown| {
        let middle = shown.lines().count() / 2;
        let mut text = String::new();
        for (number, line) in shown.lines().enumerate() {
            if number == middle {
                writeln!(text, "# {}", markers[0]).unwrap();
            }
            writeln!(text, "{line}").unwrap();
        }
        writeln!(text, "# {}", markers[1]).unwrap();
        text
    });
    let daemon = Daemon::start_in(folder);
    let text = std::fs::read_to_string(daemon.folder().join("identity")).expect("the identity");
    let identity = text
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-1"))
        .expect("a key");
    let key = secret_key(identity);

    let worker = daemon.worker();
    let found = |needle: &[u8]| holds(&worker, needle);
    // The search itself finds what must be there, or it would prove nothing.
    assert!(found(b"notes-moderate"), "a rule of its policy is in its memory");
    assert!(!found(identity.as_bytes()), "the identity, as written");
    assert!(!found(&identity.as_bytes()[24..56]), "a part of the identity");
    // Without its ends, which X25519 clamps (RFC 7748 §5).
    assert!(!found(&key[4..28]), "the secret key");
    for marker in &markers {
        // A part of it is enough: its ends may be written over by others.
        let part = &marker.as_bytes()[16..48];
        assert!(!found(part), "the opened configuration");
    }

    let identity = daemon.folder().join("identity").display().to_string();
    assert!(!worker.descriptors().contains(&identity));
}

/// 64 letters that nobody else has.
fn marker() -> String {
    let mut bytes = [0; 32];
    let mut random = File::open("/dev/urandom").expect("randomness");
    random.read_exact(&mut bytes).expect("randomness");
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Whether these bytes stand in any readable page of a process.
fn holds(process: &Process, needle: &[u8]) -> bool {
    let maps =
        std::fs::read_to_string(format!("/proc/{}/maps", process.pid)).expect("its maps (run as root)");
    let memory = File::open(format!("/proc/{}/mem", process.pid)).expect("its memory (run as root)");
    maps.lines().filter_map(range).any(|(start, end)| {
        let mut page = vec![0; usize::try_from(end - start).expect("a size")];
        // Some pages of the kernel's own can't be read.
        let read = memory.read_at(&mut page, start).unwrap_or(0);
        page[..read].windows(needle.len()).any(|bytes| bytes == needle)
    })
}

/// First and last address of a readable mapping that is no file: a program's own texts are no secrets.
fn range(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_readable = words.next()?.starts_with('r');
    let address = |text| u64::from_str_radix(text, 16).ok();
    let is_file = line.contains(" /");
    (is_readable && !is_file).then_some((address(start)?, address(end)?))
}

/// The 32 bytes behind an identity's letters (BIP 173).
fn secret_key(identity: &str) -> Vec<u8> {
    const LETTERS: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let letters = identity.strip_prefix("AGE-SECRET-KEY-1").expect("a key");
    let mut bits = letters.chars().flat_map(|letter| {
        let value = LETTERS.find(letter).expect("a letter of bech32");
        (0..5).rev().map(move |bit| (value >> bit) & 1 == 1)
    });
    let mut byte = || (0..8).fold(0, |byte, _| (byte << 1) | u8::from(bits.next().expect("a bit")));
    (0..32).map(|_| byte()).collect()
}
