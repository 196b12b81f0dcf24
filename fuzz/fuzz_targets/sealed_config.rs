//! A sealed configuration that somebody else may have written: it opens under no key of ours, or as what was sealed.
#![no_main]

use std::os::unix::fs::PermissionsExt;
use std::sync::LazyLock;

use dbal_config::{Identity, KeyPair, Recipient};
use dbal_fuzz::scratch::Scratch;
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;

struct Keys {
    recipient: Recipient,
    identity: Identity,
    _file: Scratch,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let KeyPair { recipient, identity } = dbal_config::keygen();
    let file = Scratch::new("identity");
    file.write(identity.expose_secret().as_bytes());
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    Keys {
        recipient,
        identity: Identity::File(file.path().to_owned()),
        _file: file,
    }
});

fuzz_target!(|bytes: &[u8]| {
    let Keys {
        recipient, identity, ..
    } = &*KEYS;
    let _ = (dbal_config::is_sealed(bytes), dbal_config::recipient_count(bytes));
    assert!(dbal_config::decrypt(bytes, identity).is_err(), "nobody sealed it");
    // What was sealed, changed at a place: it opens as it was or not at all.
    let Some((places, text)) = bytes.split_first_chunk::<3>() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let mut sealed = dbal_config::encrypt(text, std::slice::from_ref(recipient)).expect("sealed");
    let [high, low, change] = *places;
    let at = usize::from(u16::from_be_bytes([high, low])) % sealed.len();
    sealed[at] ^= change;
    if let Ok(opened) = dbal_config::decrypt(&sealed, identity) {
        assert_eq!(opened.as_str(), text);
    }
});
