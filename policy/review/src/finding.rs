//! What is said of a policy: a stable code, how bad it is, where it stands, and what to do.

use dbal_schema::{Location, Warning, suggestion};

use dbal_schema::error::Problem;

/// One thing that is wrong or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// Where.
    pub at: Location,
    /// What, in one sentence.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; never fails a check.
    Note,
    /// Probably not what was meant.
    Warning,
    /// The policy can't be used as it is.
    Error,
}

/// Every kind of finding. Names are kept for good: people's CI knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A daemon would not start with this.
    Invalid,
    /// A daemon would start with this and log a warning.
    Odd,
}

impl Code {
    /// All of them.
    pub const ALL: [Code; 2] = [Code::Invalid, Code::Odd];

    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Code::Invalid => "invalid",
            Code::Odd => "odd",
        }
    }

    /// How bad.
    pub fn severity(self) -> Severity {
        match self {
            Code::Invalid => Severity::Error,
            Code::Odd => Severity::Warning,
        }
    }

    /// What it means, for who meets it the first time.
    pub fn meaning(self) -> &'static str {
        match self {
            Code::Invalid => "The files say something that keeps the daemons from starting.",
            Code::Odd => "The files load, but say something that is rarely meant.",
        }
    }
}

impl Severity {
    /// As people and SARIF call it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

impl Finding {
    /// How bad.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

impl From<Problem> for Finding {
    fn from(Problem { at, text }: Problem) -> Self {
        let (text, advice) = parted(text);
        Self {
            code: Code::Invalid,
            at,
            text,
            advice,
        }
    }
}

impl From<Warning> for Finding {
    fn from(Warning { at, text }: Warning) -> Self {
        let (text, advice) = parted(text);
        Self {
            code: Code::Odd,
            at,
            text,
            advice,
        }
    }
}

fn parted(text: String) -> (String, Option<String>) {
    match suggestion::part(&text) {
        (said, Some(hint)) => (said.to_owned(), Some(hint.to_owned())),
        (_, None) => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_codes_are_told_apart() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn a_suggestion_becomes_advice() {
        let at = Location {
            file: "a.yaml".into(),
            line: 1,
            column: 2,
        };
        let finding = Finding::from(Problem {
            at,
            text: format!("unknown key `x`{}", suggestion::hint("idd", ["id"])),
        });
        assert_eq!(finding.text, "unknown key `x`");
        assert_eq!(finding.advice.as_deref(), Some("did you mean `id`?"));
    }
}
