//! A call from its text to its rows and back, in one thread: `dbal_fuzz::way` says what must hold. `Case` makes calls of bytes, so
//! that inputs need not find JSON's shape first.
#![no_main]

use dbal_fuzz::ask::Case;
use dbal_fuzz::way::Way;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WAY: Way = {
        Way::must_be_able_to_fail();
        Way::new()
    };
}

fuzz_target!(|case: Case| {
    WAY.with(|way| {
        if let Err(wrong) = way.examine(&case) {
            panic!("{wrong}\n{case:?}");
        }
    });
});
