//! An audit folder that anybody may have written in: read by `dbal audit verify|search|tail` and `dbal policy why`. The first byte
//! says whether the rest is a file as it stands or the inner parts of records, which are chained here as the worker would.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use dbal_audit::{Demands, Follow, Wanted, each, of_request, verify, verify_as, verify_end};
use dbal_fuzz::journal::chained;
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| dbal_fuzz::scratch::folder("journal"));

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let is_chained = first & 1 == 1;
    let file = if is_chained { chained(rest) } else { rest.to_vec() };
    // Two files, cut anywhere at a line's end.
    let cut = usize::from(first >> 1).saturating_mul(16).min(file.len());
    let end = file[cut..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(file.len(), |end| cut + end + 1);
    let (one, two) = file.split_at(if first & 2 == 2 { end } else { file.len() });
    let second = FOLDER.join(format!(
        "audit-{:020}.jsonl",
        one.split(|byte| *byte == b'\n').count()
    ));
    std::fs::write(FOLDER.join("audit-00000000000000000001.jsonl"), one).expect("a file");
    if !two.is_empty() {
        std::fs::write(&second, two).expect("a file");
    }

    let whole = verify(&FOLDER);
    if is_chained && let Err(broken) = &whole {
        // What the worker writes in such a record is never malformed; the fuzzer's is.
        let text = String::from_utf8_lossy(rest);
        assert!(
            text.contains("\"removed\"") || text.contains("\"checkpoint\""),
            "{broken}"
        );
    }
    if let Ok(verified) = &whole {
        let demands = Demands {
            head: Some(&verified.head),
            ..Demands::default()
        };
        assert!(
            verified.records == 0 || verify_as(&FOLDER, &demands).is_ok(),
            "its own head is not there"
        );
    }
    let _ = (
        verify_end(&FOLDER, 100),
        of_request(&FOLDER, "1-1"),
        Follow::last(&FOLDER, 3),
    );
    let wanted = Wanted {
        since_ns: Some(0),
        until_ns: Some(i128::MAX),
        code: Some(403),
        ..Wanted::default()
    };
    for wanted in [wanted, Wanted::default()] {
        each::<std::io::Error>(&[FOLDER.as_path()], &wanted, |_, _| Ok(())).expect("it can be read");
    }
    if !two.is_empty() {
        std::fs::remove_file(second).expect("a file");
    }
});
