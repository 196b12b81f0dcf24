//! Heads of an audit trail that somebody kept out of the reach of whoever writes it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use dbal_audit::{Head, PublicKey, countersignature_of, head_of, is_signed_by};
use serde_json::{Value, json};

use crate::error::ToolError;
use crate::files;

/// What `--head` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    /// A record, by its hash.
    Hash(String),
    /// A record, by number and hash.
    One(Head),
    /// Lines of JSON.
    File(PathBuf),
}

impl FromStr for Heads {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hash = |text: &str| {
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if is_hash(text) {
            return Ok(Heads::Hash(text.to_owned()));
        }
        let numbered = text.split_once(':').and_then(|(number, hash)| {
            let number: u64 = number.parse().ok()?;
            head_of(&json!({"seq": number, "hash": hash}))
        });
        Ok(numbered.map_or_else(|| Heads::File(PathBuf::from(text)), Heads::One))
    }
}

/// The heads of a file. One that says that it is countersigned has to be, by one of these brokers if any are given.
pub(super) fn read(path: &Path, brokers: &[PublicKey]) -> Result<Vec<Head>, ToolError> {
    let text = files::read(path)?;
    let mut heads = Vec::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        // `null` is what a broker says that was shown nothing yet.
        if line.trim().is_empty() || line.trim() == "null" {
            continue;
        }
        let wrong = |why: &str| ToolError::Failed(format!("{}:{number}: {why}", path.display()));
        let value: Value = serde_json::from_str(line).map_err(|_unreadable| wrong("is no JSON"))?;
        let head = head_of(&value).ok_or_else(|| wrong("is no head: it has no `seq` and `hash`"))?;
        if value.get("signature").is_some() || !brokers.is_empty() {
            let signed = countersignature_of(&value).ok_or_else(|| wrong("is not countersigned"))?;
            let itself = [PublicKey(signed.key)];
            let by = if brokers.is_empty() { &itself } else { brokers };
            if !is_signed_by(by, &signed) {
                return Err(wrong("is not countersigned by this broker"));
            }
            heads.extend(signed.after);
        }
        heads.push(head);
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_hash_a_number_and_a_hash_or_a_file() {
        let hash = "ab".repeat(32);
        assert_eq!(hash.parse(), Ok(Heads::Hash(hash.clone())));
        let Ok(Heads::One(head)) = format!("7:{hash}").parse() else {
            panic!("one head");
        };
        assert_eq!((head.sequence, head.hash.to_string()), (7, hash.clone()));
        for file in ["heads.jsonl", "7:ab", &format!("x:{hash}"), &hash.to_uppercase()] {
            assert_eq!(file.parse(), Ok(Heads::File(PathBuf::from(file))), "{file}");
        }
    }

    #[test]
    fn what_is_no_head_or_not_countersigned_as_it_says_is_refused() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("heads.jsonl");
        let (hash, key, signature) = ("ab".repeat(32), "cd".repeat(32), "ef".repeat(64));
        for (line, is_taken) in [
            (format!(r#"{{"seq":7,"hash":"{hash}"}}"#), true),
            ("null".to_owned(), true),
            ("{}".to_owned(), false),
            ("x".to_owned(), false),
            (
                format!(r#"{{"seq":7,"hash":"{hash}","key":"{key}","signature":"{signature}"}}"#),
                false,
            ),
        ] {
            std::fs::write(&path, format!("{line}\n")).unwrap();
            assert_eq!(read(&path, &[]).is_ok(), is_taken, "{line}");
        }
        std::fs::write(&path, format!("{{\"seq\":7,\"hash\":\"{hash}\"}}\n")).unwrap();
        assert!(
            read(&path, &[PublicKey([1; 32])]).is_err(),
            "unsigned, and a key is asked for"
        );
    }
}
