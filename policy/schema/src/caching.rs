//! `cache:` of an entity: its rows may be part of answers that the worker keeps for a while.

use std::time::Duration;

use crate::mapping::{Mapping, text_of};
use crate::report::Report;
use crate::yaml::Node;

/// Longest time, in seconds.
const LONGEST_S: u64 = 24 * 60 * 60;

/// Answers that show rows of an entity may be kept. Whoever writes behind the daemon's back is seen no later than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caching {
    /// How long, in whole seconds.
    pub ttl: Duration,
}

/// `{ttl: 30s}`
pub(crate) fn read(node: &Node, report: &mut Report) -> Option<Caching> {
    let mut map = Mapping::of(node, "`cache`", report)?;
    let ttl = map.take(&["ttl"], report);
    map.finish("`cache`", report);
    let Some(ttl) = ttl else {
        report.problem(
            &node.at,
            "`cache` names no `ttl`: how long answers may be kept, such as `30s`, `5m` or `1h`",
        );
        return None;
    };
    let ttl = text_of(ttl, "`ttl`", report)?;
    let span = span(&ttl.value);
    if span.is_none() {
        report.problem(
            &ttl.at,
            "`ttl` of `cache` is a time from 1s to 24h, such as `30s`, `5m` or `1h`",
        );
    }
    span.map(|ttl| Caching { ttl })
}

/// A number and its unit, without anything between.
fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let span = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (1..=LONGEST_S).contains(&span).then(|| Duration::from_secs(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_its_unit() {
        for (text, seconds) in [
            ("1s", 1),
            ("30s", 30),
            ("5m", 300),
            ("24h", 86_400),
            ("86400s", 86_400),
        ] {
            assert_eq!(span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "s",
            "0s",
            "30",
            "+3s",
            "-3s",
            "3 s",
            "3S",
            "25h",
            "1d",
            "1.5h",
            "99999999999999999999s",
            "é",
            "3é",
        ] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
