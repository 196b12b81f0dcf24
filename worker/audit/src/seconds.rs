//! Moments as text. Thousands of records are of the same second, of which only the fraction changes from one to the next.

/// Writes moments, and remembers the second of the last one.
#[derive(Debug, Default)]
pub(crate) struct Seconds {
    second: Option<i64>,
    /// As far as it goes without the fraction and the `Z`.
    text: String,
}

impl Seconds {
    /// Appends a moment, in nanoseconds since 1970, as RFC 3339 has it, with nine digits of a second: `2023-11-14T22:13:20.123456789Z`.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, time_ns: i64) {
        const SECOND_NS: i64 = 1_000_000_000;
        let (second, mut fraction) = (time_ns.div_euclid(SECOND_NS), time_ns.rem_euclid(SECOND_NS));
        if self.second != Some(second) {
            let text = jiff::Timestamp::from_second(second)
                .unwrap_or_default()
                .to_string();
            text.trim_end_matches('Z').clone_into(&mut self.text);
            self.second = Some(second);
        }
        let mut digits = *b".000000000Z";
        for digit in digits.iter_mut().skip(1).take(9).rev() {
            let last = u8::try_from(fraction.rem_euclid(10)).unwrap_or(0);
            *digit = b'0'.saturating_add(last);
            fraction = fraction.div_euclid(10);
        }
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(&digits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_moment_reads_as_the_library_writes_it(moments in prop::collection::vec(prop_oneof![any::<i64>(), -3_000_000_000..3_000_000_000_i64], 1..20)) {
            let mut seconds = Seconds::default();
            for moment in moments {
                let mut out = Vec::new();
                seconds.write(&mut out, moment);
                let expected = format!("{:.9}", jiff::Timestamp::from_nanosecond(moment.into()).unwrap());
                prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }
    }
}
