//! Records of an audit trail that are chained as a worker chains them.

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
