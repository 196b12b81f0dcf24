//! Records of an audit trail that are chained as a worker chains them, and what a folder holds of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Each line of the input as the inner part of a record, with its number and its hashes.
pub fn chained(bodies: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut before = "0".repeat(64);
    for (nth, body) in bodies.split(|byte| *byte == b'\n').enumerate() {
        let mut line = format!("{{\"seq\":{},\"prev\":\"{before}\"", nth + 1).into_bytes();
        line.extend_from_slice(body);
        let digest = Sha256::digest(&line);
        before = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        file.extend_from_slice(&line);
        file.extend_from_slice(format!(",\"hash\":\"{before}\"}}\n").as_bytes());
    }
    file
}

/// Compressed, as a worker does it.
pub fn gz(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// The text of all files of a folder, in the order of their names; of one that is there twice, what is not compressed, as readers take
/// it. What can't be read is none.
pub fn text_of(folder: &Path) -> Vec<u8> {
    let mut texts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = fs::read(&path).expect("a file");
        let Some(plain) = name.strip_suffix(".gz") else {
            if name.ends_with(".jsonl") {
                texts.insert(name, bytes);
            }
            continue;
        };
        let mut text = Vec::new();
        let _ = MultiGzDecoder::new(&*bytes).read_to_end(&mut text);
        texts.entry(plain.to_owned()).or_insert(text);
    }
    texts.into_values().collect::<Vec<_>>().concat()
}

/// Whether each line is the record that follows the one before it, from the first on.
pub fn is_chain(text: &[u8]) -> bool {
    let mut before = "0".repeat(64);
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.all(|(nth, line)| {
        let begins = format!("{{\"seq\":{},\"prev\":\"{before}\"", nth + 1);
        // `,"hash":"`, the hash, `"}` and the end of the line.
        let Some((body, end)) = line.split_last_chunk::<{ 9 + 64 + 3 }>() else {
            return false;
        };
        let digest = Sha256::digest(body);
        before = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        body.starts_with(begins.as_bytes()) && *end == *format!(",\"hash\":\"{before}\"}}\n").as_bytes()
    })
}
