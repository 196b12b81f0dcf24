//! What an audit record costs the caller: `cargo run --release -p dbal-audit --example append_cost`.
#![forbid(unsafe_code)]

use std::time::Instant;

use dbal_audit::{AuditError, Durability, Event, Journal, Outcome, Record};

fn main() -> Result<(), AuditError> {
    let dir = std::env::temp_dir().join(format!("dbal-append-cost-{}", std::process::id()));
    let journal = Journal::open(&dir, Durability::Interval)?;
    let key = ["019a3c5e-7b1f-7a60-8a3c-2f1d9b0c4e55".to_owned()];
    let roles = ["user".to_owned()];
    let count = 200_000_u32;
    let start = Instant::now();
    for number in 0..count {
        journal.append(&Record {
            principal: Some("019a3c5e-7b1f-7a60-8a3c-2f1d9b0c4e55"),
            roles: &roles,
            remote: Some("127.0.0.1:40000"),
            method: Some("read"),
            entity: Some("Note"),
            keys: &key,
            rule: Some("notes-own"),
            complexity: Some(2),
            duration_us: Some(31),
            rows: Some(1),
            ..Record::new(1_700_000_000_123_456_789, Event::Call, Outcome::Allowed)
        })?;
        if number.is_multiple_of(16) {
            journal.flush()?;
        }
    }
    let each = start.elapsed().checked_div(count).unwrap_or_default();
    println!("{each:?} a record, a flush for every 16 included");
    drop(journal);
    let _ = std::fs::remove_dir_all(dir);
    Ok(())
}
