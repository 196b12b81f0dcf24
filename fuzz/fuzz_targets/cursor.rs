//! Cursors come back from clients: what this process sealed opens for its purpose, and nothing else does. The first bytes say where
//! and how it is changed, and what it is bound to; the rest is a place, or a cursor that nobody sealed.
#![no_main]

use std::sync::LazyLock;

use dbal_shared::codec;
use dbal_shared::value::Value;
use dbal_sql::Places;
use dbal_worker::cursor::Cursors;
use libfuzzer_sys::fuzz_target;

static CURSORS: LazyLock<Cursors> = LazyLock::new(|| Cursors::new().expect("randomness"));

fuzz_target!(|bytes: &[u8]| {
    let Some(([high, low, change, length], rest)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let (at, change) = (u16::from_be_bytes([*high, *low]), *change);
    let (binding, bytes) = rest.split_at(usize::from(*length).min(rest.len()));
    assert!(CURSORS.open(binding, bytes).is_none(), "a forged cursor");
    let Ok(place) = codec::decode::<Vec<Value>>(bytes) else {
        return;
    };
    let Some(cursor) = CURSORS.seal(binding, &place) else {
        return;
    };
    let opened = CURSORS
        .open(binding, cursor.as_bytes())
        .expect("what was sealed opens");
    let written = |place: &Vec<Value>| {
        let mut bytes = Vec::new();
        codec::encode(place, &mut bytes).expect("what was read can be written");
        bytes
    };
    // Bytes, not values: a NaN is not equal to itself.
    assert_eq!(written(&opened), written(&place));
    let mut other = binding.to_vec();
    other.push(0);
    assert!(
        CURSORS.open(&other, cursor.as_bytes()).is_none(),
        "for another list"
    );
    let mut changed = cursor.into_bytes();
    let at = usize::from(at) % changed.len();
    changed[at] ^= change;
    assert!(
        change == 0 || CURSORS.open(binding, &changed).is_none(),
        "changed"
    );
});
