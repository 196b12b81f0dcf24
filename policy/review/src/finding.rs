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
    /// A rule that can never apply.
    NeverApplies,
    /// A rule that grants nothing beside another one.
    Shadowed,
    /// A role that gives nothing.
    IdleRole,
    /// An entity that no rule is about.
    NoRule,
    /// Writing without a token.
    PublicWrite,
    /// A sensitive field of others' rows.
    SensitiveReadable,
    /// Changing all rows by one call.
    AllowUnfiltered,
    /// An entity that others' wall does not stand around.
    NoTenantWall,
    /// A restriction that every row satisfies.
    IdleWall,
    /// A restriction that no row satisfies.
    WallBarsAll,
    /// A delete that reaches other rows by their references.
    ReachesByReference,
    /// A reference that may lead beyond a wall.
    UnwalledReference,
    /// An update by which rows expire.
    RemovesByTime,
    /// An `accept` of what is not found.
    NeedlessAcceptance,
}

impl Code {
    /// All of them.
    pub const ALL: [Code; 16] = [
        Code::Invalid,
        Code::Odd,
        Code::NeverApplies,
        Code::Shadowed,
        Code::IdleRole,
        Code::NoRule,
        Code::PublicWrite,
        Code::SensitiveReadable,
        Code::AllowUnfiltered,
        Code::NoTenantWall,
        Code::IdleWall,
        Code::WallBarsAll,
        Code::ReachesByReference,
        Code::UnwalledReference,
        Code::RemovesByTime,
        Code::NeedlessAcceptance,
    ];

    /// Whether an author may accept it: what keeps a policy from loading can't be, nor what is said of acceptances themselves.
    pub fn is_acceptable(self) -> bool {
        !matches!(self, Code::Invalid | Code::Odd | Code::NeedlessAcceptance)
    }

    /// Stable name.
    pub fn name(self) -> &'static str {
        self.told().0
    }

    /// How bad.
    pub fn severity(self) -> Severity {
        self.told().1
    }

    /// What it means, for who meets it the first time.
    pub fn meaning(self) -> &'static str {
        self.told().2
    }

    fn told(self) -> (&'static str, Severity, &'static str) {
        use Severity::{Error, Note, Warning};
        match self {
            Code::Invalid => (
                "invalid",
                Error,
                "The files say something that keeps the daemons from starting.",
            ),
            Code::Odd => (
                "odd",
                Warning,
                "The files load, but say something that is rarely meant.",
            ),
            Code::NeverApplies => (
                "never-applies",
                Warning,
                "No caller and no row ever satisfy the rule, so it grants nothing: usually a condition contradicts itself.",
            ),
            Code::Shadowed => (
                "shadowed",
                Warning,
                "Rules add up. One that is narrower than another changes nothing, though it reads as if it narrowed something.",
            ),
            Code::IdleRole => (
                "idle-role",
                Note,
                "A role gives what rules say of it; this one has no rule, so it gives nothing beyond what everybody has.",
            ),
            Code::NoRule => (
                "no-rule",
                Warning,
                "What no rule grants is refused, so nobody can use this entity.",
            ),
            Code::PublicWrite => (
                "public-write",
                Warning,
                "Whoever reaches the port can write: nobody is named in the audit trail, and rates are limited by address only.",
            ),
            Code::SensitiveReadable => (
                "sensitive-readable",
                Warning,
                "The entity file says that the field's values are secrets or personal, and people beside their owner may read them.",
            ),
            Code::AllowUnfiltered => (
                "allow-unfiltered",
                Warning,
                "One call without a filter, by mistake or by whoever holds a stolen token, changes or deletes all rows at once.",
            ),
            Code::NoTenantWall => (
                "no-tenant-wall",
                Warning,
                "Other entities with this field are kept apart by a restriction that no rule can open; here one careless rule is enough.",
            ),
            Code::IdleWall => (
                "idle-wall",
                Warning,
                "A restriction that every row satisfies protects nothing, though it reads as if it did.",
            ),
            Code::WallBarsAll => (
                "wall-bars-all",
                Warning,
                "Restrictions narrow every rule; one that no row satisfies takes everything away.",
            ),
            Code::ReachesByReference => (
                "reaches-by-reference",
                Warning,
                "The database follows `on_delete: cascade` and `set_null` without asking the policy about the rows it reaches.",
            ),
            Code::UnwalledReference => (
                "unwalled-reference",
                Warning,
                "A reference is written without a right to the row that it names: by its key, another tenant's row may be referred to, or found to exist.",
            ),
            Code::RemovesByTime => (
                "removes-by-time",
                Warning,
                "The worker removes rows when their time is over, and asks the policy nothing: who sets a time that is over deletes the row.",
            ),
            Code::NeedlessAcceptance => (
                "needless-acceptance",
                Warning,
                "An `accept` that nothing needs would hide a later finding that its author never saw.",
            ),
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
