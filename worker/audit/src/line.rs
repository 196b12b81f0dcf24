//! One record as one line of bytes, and back: `{"seq":…,"prev":"…",…,"hash":"…"}`. The only place that knows the form.

use std::io::Write;

use ring::digest::{SHA256, digest};

use dbal_shared::limits::TRIED;
use dbal_shared::message::{Countersignature, Head, Tried};
use dbal_witness::{digits, write_digits};

use crate::checkpoint::Checkpoint;
use crate::record::{Record, Removed};
use crate::seconds::Seconds;

/// SHA-256 in lower-case hexadecimal, as it stands in the file.
pub(crate) type Hash = [u8; 64];

/// What the first record of all names as the one before it.
pub(crate) const NONE_BEFORE: Hash = [b'0'; 64];

/// Longest line, in bytes. [`push`] stays below it, so a longer line was not written by us.
pub(crate) const LINE_BYTES: usize = 1024 * 1024;
/// Longest text of one field. Who calls may choose some of them, and shall not fill the disk.
const TEXT_BYTES: usize = 512;
/// Most keys of one record: as many as a `createMany` may have rows.
const KEYS: usize = dbal_shared::limits::ROWS_PER_CREATE_MANY;
/// Longest key or role; a uuid has 36.
const KEY_BYTES: usize = 128;
/// Most roles of one record.
const ROLES: usize = 64;
/// Most names of claims of one record.
const CLAIMS: usize = 32;

const SEQ: &[u8] = b"{\"seq\":";
const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";

/// Appends `record` to `out` as record number `seq` after the one whose hash is `prev`; returns its own hash.
pub(crate) fn push(
    out: &mut Vec<u8>,
    seconds: &mut Seconds,
    seq: u64,
    prev: &Hash,
    record: &Record<'_>,
) -> Hash {
    let Record {
        time_ns,
        event,
        outcome,
        request,
        trace,
        principal,
        roles,
        tenant,
        remote,
        method,
        operation,
        entity,
        keys,
        code,
        detail,
        rule,
        claims,
        policy,
        tried: rules,
        repeated,
        complexity,
        duration_us,
        rows,
        removed,
        checkpoint,
        countersigned,
    } = record;
    let start = out.len();
    out.extend_from_slice(SEQ);
    integer(out, seq);
    out.extend_from_slice(PREV);
    out.extend_from_slice(prev);
    out.extend_from_slice(b"\",\"time\":\"");
    seconds.write(out, *time_ns);
    out.extend_from_slice(b"\",\"event\":\"");
    out.extend_from_slice(event.name().as_bytes());
    out.extend_from_slice(b"\",\"outcome\":\"");
    out.extend_from_slice(outcome.name().as_bytes());
    out.push(b'"');
    if let Some(request) = request {
        out.extend_from_slice(b",\"request\":\"");
        display(out, request);
        out.push(b'"');
    }
    if let Some(trace) = trace {
        name(out, "trace");
        out.push(b'"');
        display(out, trace);
        out.push(b'"');
    }
    text(out, "principal", *principal);
    list(out, "roles", roles, ROLES);
    text(out, "tenant", *tenant);
    text(out, "remote", *remote);
    text(out, "method", *method);
    text(
        out,
        "operation",
        operation.map(dbal_shared::plan::Operation::name),
    );
    text(out, "entity", *entity);
    list(out, "keys", keys, KEYS);
    number(out, "code", code.map(|code| code.number().into()));
    text(out, "detail", *detail);
    text(out, "rule", *rule);
    list(out, "claims", claims, CLAIMS);
    if let Some(policy) = policy {
        name(out, "policy");
        out.push(b'"');
        display(out, policy);
        out.push(b'"');
    }
    tried(out, rules);
    number(out, "repeated", *repeated);
    number(out, "complexity", complexity.map(u64::from));
    number(out, "duration_us", *duration_us);
    number(out, "rows", *rows);
    if let Some(Removed { from, to, head }) = removed {
        name(out, "removed");
        display(out, format_args!("{{\"from\":{from},\"to\":{to},\"head\":"));
        quoted(out, head, KEY_BYTES);
        out.push(b'}');
    }
    if let Some(Checkpoint { key, signature }) = checkpoint {
        name(out, "checkpoint");
        out.extend_from_slice(b"{\"key\":");
        quoted(out, key, KEY_BYTES);
        out.extend_from_slice(b",\"signature\":");
        quoted(out, signature, KEY_BYTES);
        out.push(b'}');
    }

    if let Some(Countersignature {
        head,
        after,
        key,
        signature,
    }) = countersigned
    {
        name(out, "countersigned");
        out.push(b'{');
        reached(out, head);
        if let Some(after) = after {
            out.extend_from_slice(b",\"after\":{");
            reached(out, after);
            out.push(b'}');
        }
        display(
            out,
            format_args!(
                ",\"key\":\"{}\",\"signature\":\"{}\"}}",
                digits(key),
                digits(signature)
            ),
        );
    }

    let hash = sha256(out.get(start..).unwrap_or_default());
    out.extend_from_slice(HASH);
    out.extend_from_slice(&hash);
    out.extend_from_slice(END);
    out.push(b'\n');
    hash
}

/// The parts of a line that the chain is made of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The record's number.
    pub(crate) seq: u64,
    /// The hash that it names as the one before.
    pub(crate) prev: Hash,
    /// The hash that it names as its own.
    pub(crate) hash: Hash,
    /// The hash that its bytes have.
    pub(crate) computed: Hash,
}

/// Takes a line (without its newline) apart; none if it is not of our form.
pub(crate) fn parse(line: &[u8]) -> Option<Link> {
    let rest = line.strip_prefix(SEQ)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(digits)?;
    // Written again and compared: `007` and `7` must not both be record 7.
    let seq: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if seq.to_string().as_bytes() != digits {
        return None;
    }
    let prev = *rest.strip_prefix(PREV)?.first_chunk::<64>()?;
    let body = line.strip_suffix(END)?;
    let (body, hash) = body.split_last_chunk::<64>()?;
    let hashed = body.strip_suffix(HASH)?;
    Some(Link {
        seq,
        prev,
        hash: *hash,
        computed: sha256(hashed),
    })
}

fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = NONE_BEFORE;
    write_digits(&mut hash, digest(&SHA256, bytes).as_ref());
    hash
}

fn display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing into a Vec can't fail.
    let _ = write!(out, "{value}");
}

fn name(out: &mut Vec<u8>, name: &'static str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, field: &'static str, value: Option<u64>) {
    if let Some(value) = value {
        name(out, field);
        integer(out, value);
    }
}

/// Without the machinery of `format_args`, which takes as long as the rest of a short line.
fn integer(out: &mut Vec<u8>, value: u64) {
    // Writing into a Vec can't fail.
    let _ = serde_json::to_writer(out, &value);
}

fn text(out: &mut Vec<u8>, field: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        name(out, field);
        quoted(out, value, TEXT_BYTES);
    }
}

fn list(out: &mut Vec<u8>, field: &'static str, values: &[String], most: usize) {
    if values.is_empty() {
        return;
    }
    name(out, field);
    for (position, value) in values.iter().take(most).enumerate() {
        out.push(if position == 0 { b'[' } else { b',' });
        quoted(out, value, KEY_BYTES);
    }
    out.push(b']');
}

fn tried(out: &mut Vec<u8>, rules: &[Tried]) {
    if rules.is_empty() {
        return;
    }
    name(out, "tried");
    for (position, Tried { rule, at, why }) in rules.iter().take(TRIED).enumerate() {
        out.push(if position == 0 { b'[' } else { b',' });
        out.extend_from_slice(b"{\"rule\":");
        quoted(out, rule, KEY_BYTES);
        out.extend_from_slice(b",\"at\":");
        quoted(out, at, TEXT_BYTES);
        out.extend_from_slice(b",\"why\":");
        quoted(out, why, TEXT_BYTES);
        out.push(b'}');
    }
    out.push(b']');
}

fn reached(out: &mut Vec<u8>, head: &Head) {
    let Head { sequence, hash } = head;
    display(out, format_args!("\"seq\":{sequence},\"hash\":\"{hash}\""));
}

fn quoted(out: &mut Vec<u8>, value: &str, most: usize) {
    let end = value.floor_char_boundary(most);
    // Writing a string into a Vec can't fail; JSON escapes newlines, so a line stays a line.
    let _ = serde_json::to_writer(out, value.get(..end).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Event, Outcome};
    use dbal_shared::fault::Code;
    use dbal_shared::ids::RequestId;
    use dbal_shared::plan::Operation;

    /// The example of docs/audit.md.
    #[test]
    fn a_line_reads_as_documented() {
        let mut out = Vec::new();
        push(
            &mut out,
            &mut Seconds::default(),
            7,
            &NONE_BEFORE,
            &Record {
                request: Some(RequestId {
                    boot: 0x1a2b_3c4d,
                    sequence: 42,
                }),
                principal: Some("alice"),
                roles: &["user".to_owned()],
                remote: Some("127.0.0.1:40000"),
                method: Some("update"),
                operation: Some(Operation::Update),
                entity: Some("Note"),
                keys: &["n1".to_owned(), "n2".to_owned()],
                code: Some(Code::Forbidden),
                detail: Some("line\nbreak \"quoted\""),
                rule: Some("notes-own"),
                complexity: Some(3),
                duration_us: Some(181),
                rows: Some(0),
                ..Record::new(1_700_000_000_123_456_789, Event::Call, Outcome::Denied)
            },
        );
        let line = String::from_utf8(out).unwrap();
        let expected = concat!(
            r#"{"seq":7,"prev":"0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""time":"2023-11-14T22:13:20.123456789Z","event":"call","outcome":"denied","#,
            r#""request":"1a2b3c4d-2a","principal":"alice","roles":["user"],"remote":"127.0.0.1:40000","#,
            r#""method":"update","operation":"update","entity":"Note","keys":["n1","n2"],"code":403,"#,
            r#""detail":"line\nbreak \"quoted\"","rule":"notes-own","complexity":3,"duration_us":181,"rows":0,"#,
            r#""hash":"#,
        );
        assert!(line.starts_with(expected), "{line}");
        assert!(line.ends_with("\"}\n"));
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
    }

    #[test]
    fn a_line_is_bounded_whatever_a_caller_sends() {
        let long = "ü\u{0}".repeat(100_000);
        let many = vec!["\u{0}".repeat(1_000); 10_000];
        let rules = vec![
            Tried {
                rule: long.clone(),
                at: long.clone(),
                why: long.clone(),
            };
            1_000
        ];
        let mut out = Vec::new();
        push(
            &mut out,
            &mut Seconds::default(),
            u64::MAX,
            &NONE_BEFORE,
            &Record {
                principal: Some(&long),
                tenant: Some(&long),
                remote: Some(&long),
                method: Some(&long),
                entity: Some(&long),
                detail: Some(&long),
                rule: Some(&long),
                roles: &many,
                keys: &many,
                claims: &many,
                tried: &rules,
                ..Record::new(i64::MAX, Event::Call, Outcome::Allowed)
            },
        );
        assert!(out.len() < LINE_BYTES, "{}", out.len());
        let link = parse(out.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!((link.seq, link.hash), (u64::MAX, link.computed));
    }

    #[test]
    fn the_hash_is_what_sha256sum_says() {
        // printf abc | sha256sum
        assert_eq!(
            &sha256(b"abc"),
            b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_number_has_one_spelling() {
        let mut out = Vec::new();
        push(
            &mut out,
            &mut Seconds::default(),
            7,
            &NONE_BEFORE,
            &Record::new(0, Event::Call, Outcome::Allowed),
        );
        let line = String::from_utf8(out).unwrap();
        assert!(parse(line.trim_end().as_bytes()).is_some());
        assert!(parse(line.trim_end().replace(":7,", ":07,").as_bytes()).is_none());
    }
}
