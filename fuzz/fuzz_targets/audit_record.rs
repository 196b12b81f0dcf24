//! A line in an audit file that anybody may have written: as `dbal audit tail|search|export` and `dbal policy why` show it.
#![no_main]

use dbal::fuzzed::of_a_record;
use dbal_fuzz::shown::hold;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    for shown in of_a_record(line) {
        hold(&shown);
    }
});
