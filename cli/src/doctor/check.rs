//! What a look at one thing found, and what to do about it.

use std::path::Path;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and is not as it should be.
    Warning,
    /// Something does not work, or somebody can do what they must not.
    Error,
    /// It could not be looked at.
    Unseen,
}

impl Verdict {
    /// The word for programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Error => "error",
            Verdict::Unseen => "could not look",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// What was looked at.
    pub(super) what: String,
    pub(super) verdict: Verdict,
    /// How it is, in plain words.
    pub(super) said: String,
    /// What to do: a command where one does it.
    pub(super) mend: Option<String>,
}

impl Check {
    pub(super) fn ok(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self::of(Verdict::Ok, what, said, None)
    }

    pub(super) fn warning(what: impl Into<String>, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::of(Verdict::Warning, what, said, Some(mend.into()))
    }

    pub(super) fn error(what: impl Into<String>, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::of(Verdict::Error, what, said, Some(mend.into()))
    }

    pub(super) fn unseen(what: impl Into<String>, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::of(Verdict::Unseen, what, said, Some(mend.into()))
    }

    fn of(verdict: Verdict, what: impl Into<String>, said: impl Into<String>, mend: Option<String>) -> Self {
        Self {
            what: what.into(),
            verdict,
            said: said.into(),
            mend,
        }
    }
}

/// Checks under one heading.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) checks: Vec<Check>,
}

/// A path as a shell takes it.
pub(super) fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '/' | '.' | '_' | '-');
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_pasted_into_a_shell_whatever_is_in_it() {
        assert_eq!(shell(Path::new("/etc/dbal/tls_1.key")), "/etc/dbal/tls_1.key");
        assert_eq!(shell(Path::new("/a b/$(x)'y")), "'/a b/$(x)'\\''y'");
    }
}
