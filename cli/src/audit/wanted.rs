//! The options by which records are chosen, the same for `search` and `export`.

use std::path::{Path, PathBuf};

use dbal_audit::Wanted;
use jiff::{Span, Timestamp};

/// Which records.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// The folder that `audit.directory` names; or two, where the records are sealed: that of `dbal audit seal`, then this one.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// The earliest: a moment (2026-01-31T12:00:00Z) or how long ago (90s, 30m, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// The end, not included.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Whose calls: the principal's id.
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    #[arg(long, value_name = "ID", help = "Of which tenant")]
    tenant: Option<String>,
    #[arg(long, value_name = "NAME", help = "On which entity")]
    entity: Option<String>,
    /// On which row.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// create, read, update, delete or list.
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// allowed, denied, failed or unknown.
    #[arg(long, value_name = "WORD")]
    outcome: Option<String>,
    /// What the client saw, such as 403.
    #[arg(long, value_name = "NUMBER")]
    code: Option<u64>,
    /// The request's id: `details.decision` of a refusal, or `request` of the log.
    #[arg(long, alias = "decision", value_name = "ID")]
    request: Option<String>,
    /// The caller's trace, 32 hexadecimal digits.
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// call, authentication, incident, policy-reloaded and so on (docs/audit.md).
    #[arg(long, value_name = "WORD")]
    event: Option<String>,
    /// The rule that decided.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
}

impl Filter {
    pub(crate) fn into_wanted(self) -> (Vec<PathBuf>, Wanted) {
        let Self {
            folders,
            since,
            until,
            principal,
            tenant,
            entity,
            key,
            operation,
            outcome,
            code,
            request,
            trace,
            event,
            rule,
        } = self;
        let texts = [
            ("principal", principal),
            ("tenant", tenant),
            ("entity", entity),
            ("operation", operation),
            ("outcome", outcome),
            ("request", request),
            ("trace", trace),
            ("event", event),
            ("rule", rule),
        ];
        let wanted = Wanted {
            since_ns: since.map(Timestamp::as_nanosecond),
            until_ns: until.map(Timestamp::as_nanosecond),
            code,
            texts: texts
                .into_iter()
                .filter_map(|(name, text)| text.map(|text| (name, text)))
                .collect(),
            key,
        };
        (folders, wanted)
    }
}

/// Folders as the journal's readers take them.
pub(super) fn paths(folders: &[PathBuf]) -> Vec<&Path> {
    folders.iter().map(PathBuf::as_path).collect()
}

/// RFC 3339, or a number of seconds, minutes, hours or days before this moment.
fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || "a moment such as 2026-01-31T12:00:00Z, or how long ago, such as 30m, 2h or 7d".to_owned();
    let Some((number, unit)) = text
        .split_at_checked(text.len().saturating_sub(1))
        .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
    else {
        return text.parse().map_err(|_unreadable| wrong());
    };
    let number: i64 = number.parse().map_err(|_unreadable| wrong())?;
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let ago = seconds
        .and_then(|seconds| number.checked_mul(seconds))
        .and_then(|seconds| Span::new().try_seconds(seconds).ok());
    ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok())
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_absolute_or_so_long_ago() {
        assert_eq!(
            moment("2026-01-31T12:00:00+01:00").unwrap().to_string(),
            "2026-01-31T11:00:00Z"
        );
        let ago = Timestamp::now().as_second() - moment("2h").unwrap().as_second();
        assert!((7_200..7_210).contains(&ago), "{ago}");
        for wrong in [
            "",
            "h",
            "2",
            "2w",
            "-2h",
            "yesterday",
            "99999999999999999999d",
            "9999999999999d",
            "ü",
        ] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
