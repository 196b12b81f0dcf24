//! What answers in a broker's place on its administrative port: `dbal top`, `doctor` and `sandbox status` show it. The parts are the
//! answer to `/health` as it comes from the socket, and two looks at `/metrics` and `/calls`.
#![no_main]

use dbal::fuzzed::of_a_broker;
use dbal_fuzz::shown::hold;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut parts = text.split('\u{0}');
    let mut part = || parts.next().unwrap_or_default();
    let health = part();
    let looks = [(part(), part()), (part(), part())];
    for shown in of_a_broker(health, looks) {
        hold(&shown);
    }
});
