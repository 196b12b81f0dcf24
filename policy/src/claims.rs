//! What a policy declares of the claims that proofs bring: which there are, of which type, and which nobody may come without.
//!
//! Without `claims:` any claim may be asked for, and is converted to whatever it meets.

use std::fmt;

use dbal_schema::{Column, ColumnType, Location, suggestion};
use dbal_shared::json::Json;
use dbal_shared::principal::{ClaimValue, Principal};

use crate::expression::Claim;

/// Types of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimType {
    /// One value.
    One(Scalar),
    /// Several, after IN only.
    List(Scalar),
}

/// Types of single values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// True or false.
    Boolean,
    /// RFC 9562, in any case; compared with texts in lower case.
    Uuid,
}

/// The types as a policy writes them.
const TYPES: [(&str, ClaimType); 6] = [
    ("text", ClaimType::One(Scalar::Text)),
    ("integer", ClaimType::One(Scalar::Integer)),
    ("boolean", ClaimType::One(Scalar::Boolean)),
    ("uuid", ClaimType::One(Scalar::Uuid)),
    ("list of text", ClaimType::List(Scalar::Text)),
    ("list of uuid", ClaimType::List(Scalar::Uuid)),
];

/// One declared claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredClaim {
    /// Where.
    pub at: Location,
    /// Name, as in `$user.<name>`.
    pub name: String,
    /// Type.
    pub kind: ClaimType,
    /// No proof without it opens a session.
    pub is_required: bool,
}

/// All that is declared; nothing at all where the policy has no `claims:`.
#[derive(Clone, Debug, Default)]
pub struct Claims(Option<Vec<DeclaredClaim>>);

/// A claim of a proof that isn't what the policy declares. It counts as missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimFault {
    /// The claim.
    pub name: String,
    /// What it should be.
    pub kind: ClaimType,
    /// Whether it is there at all.
    pub is_present: bool,
    /// Whether the proof must be refused for it.
    pub is_required: bool,
}

impl ClaimType {
    /// The type of this name, or what to write instead.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let known = TYPES.iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<&str> = TYPES.iter().map(|(known, _)| *known).collect();
            let hint = suggestion::hint(name, names.iter().copied());
            format!(
                "unknown type of a claim `{name}`; there are {}{hint}",
                names.join(", ")
            )
        })
    }

    /// The type of its values.
    pub fn scalar(self) -> Scalar {
        match self {
            ClaimType::One(scalar) | ClaimType::List(scalar) => scalar,
        }
    }
}

impl fmt::Display for ClaimType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = TYPES.iter().find(|(_, kind)| kind == self);
        out.write_str(known.map_or("?", |(name, _)| name))
    }
}

impl fmt::Display for ClaimFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            kind,
            is_present,
            is_required,
        } = self;
        let what = if *is_present {
            "is not of the type"
        } else {
            "is missing; its type is"
        };
        write!(out, "the claim `{name}` {what} `{kind}`")?;
        out.write_str(if *is_required {
            ", and the policy requires it"
        } else {
            ", so it counts as missing"
        })
    }
}

impl Claims {
    /// These and no others.
    pub(crate) fn declared(claims: Vec<DeclaredClaim>) -> Self {
        Self(Some(claims))
    }

    /// What is declared; nothing where the policy has no `claims:`.
    pub fn all(&self) -> Option<&[DeclaredClaim]> {
        self.0.as_deref()
    }

    /// The type of a claim; none where any will do. Fails where it is not declared.
    pub(crate) fn kind(&self, claim: &Claim) -> Result<Option<ClaimType>, String> {
        let (Some(all), Some(name)) = (&self.0, name(claim)) else {
            return Ok(None);
        };
        match (all.iter().find(|declared| declared.name == name), claim) {
            (Some(declared), _) => Ok(Some(declared.kind)),
            // Every proof has a subject.
            (None, Claim::Id) => Ok(None),
            (None, _) => {
                let known = all.iter().map(|declared| declared.name.as_str());
                let hint = suggestion::hint(name, known.chain(BUILT_IN));
                Err(format!("`$user.{name}` is not declared in `claims`{hint}"))
            }
        }
    }

    /// Whether the claim is a list, by itself or as declared.
    pub(crate) fn is_list(&self, claim: &Claim) -> bool {
        *claim == Claim::Roles || matches!(self.kind(claim), Ok(Some(ClaimType::List(_))))
    }

    /// Everything about the proof's claims that isn't as declared. Nobody asks for claims of who brings no proof.
    pub(crate) fn faults(&self, principal: &Principal) -> Vec<ClaimFault> {
        if principal.id.is_none() {
            return Vec::new();
        }
        let fault = |declared: &DeclaredClaim| {
            let DeclaredClaim {
                at: _,
                name,
                kind,
                is_required,
            } = declared;
            let raw = raw(name, principal);
            let is_good = raw.as_ref().map(|raw| admitted(*kind, raw).is_some());
            let is_fault = match is_good {
                Some(is_good) => !is_good,
                None => *is_required,
            };
            is_fault.then(|| ClaimFault {
                name: name.clone(),
                kind: *kind,
                is_present: is_good.is_some(),
                is_required: *is_required,
            })
        };
        self.0.iter().flatten().filter_map(fault).collect()
    }

    /// A claim's values, if the caller has it as it is declared. One that isn't declared is taken as it comes; a list isn't, since
    /// nothing would tell what may be done with it.
    pub(crate) fn values(&self, claim: &Claim, principal: &Principal) -> Option<Vec<Json>> {
        let name = name(claim)?;
        let raw = raw(name, principal)?;
        match self.kind(claim) {
            Ok(Some(kind)) => admitted(kind, &raw),
            Ok(None) => match raw {
                ClaimValue::Text(text) => Some(vec![Json::Text(text)]),
                ClaimValue::Int(value) => Some(vec![Json::Int(value)]),
                ClaimValue::Bool(value) => Some(vec![Json::Bool(value)]),
                ClaimValue::Texts(_) => None,
            },
            // INVARIANT: no expression that asks for it was compiled (`row_filter`, `presets`).
            Err(_) => None,
        }
    }
}

/// What can always be asked for.
const BUILT_IN: [&str; 4] = ["id", "role", "roles", "level"];

/// Why a policy can't declare a claim of this name.
pub(crate) fn is_computed(name: &str) -> bool {
    ["role", "roles", "level"].contains(&name)
}

/// The name under which a claim is declared; none for what is computed from the roles.
fn name(claim: &Claim) -> Option<&str> {
    match claim {
        Claim::Id => Some("id"),
        Claim::Tenant => Some("tenantId"),
        Claim::Named(name) => Some(name),
        Claim::Role | Claim::Roles | Claim::Level => None,
    }
}

/// The proof's value for a name.
fn raw(name: &str, principal: &Principal) -> Option<ClaimValue> {
    match name {
        "id" => principal.id.clone().map(ClaimValue::Text),
        "tenantId" => principal.tenant.clone().map(ClaimValue::Text),
        name => {
            let found = principal.claims.iter().find(|(claim, _)| claim == name);
            found.map(|(_, value)| value.clone())
        }
    }
}

/// The values in the one spelling that is compared, or nothing if they are of another type.
fn admitted(kind: ClaimType, raw: &ClaimValue) -> Option<Vec<Json>> {
    match (kind, raw) {
        (ClaimType::One(scalar), ClaimValue::Text(text)) => Some(vec![text_as(scalar, text)?]),
        (ClaimType::One(Scalar::Integer), ClaimValue::Int(value)) => Some(vec![Json::Int(*value)]),
        (ClaimType::One(Scalar::Boolean), ClaimValue::Bool(value)) => Some(vec![Json::Bool(*value)]),
        (ClaimType::List(scalar), ClaimValue::Texts(texts)) => {
            texts.iter().map(|text| text_as(scalar, text)).collect()
        }
        (ClaimType::One(_), ClaimValue::Int(_) | ClaimValue::Bool(_) | ClaimValue::Texts(_))
        | (ClaimType::List(_), ClaimValue::Text(_) | ClaimValue::Int(_) | ClaimValue::Bool(_)) => None,
    }
}

fn text_as(scalar: Scalar, text: &str) -> Option<Json> {
    match scalar {
        Scalar::Text => Some(Json::Text(text.to_owned())),
        Scalar::Uuid => uuid(text).map(Json::Text),
        // A number that came as a text is another type: what is declared is what the issuer sends.
        Scalar::Integer | Scalar::Boolean => None,
    }
}

/// The usual spelling, in lower case.
pub(crate) fn uuid(text: &str) -> Option<String> {
    let is_right = text.len() == 36
        && text.char_indices().all(|(at, letter)| match at {
            8 | 13 | 18 | 23 => letter == '-',
            _ => letter.is_ascii_hexdigit(),
        });
    is_right.then(|| text.to_ascii_lowercase())
}

/// Why a claim of this type makes no sense beside a column.
pub(crate) fn misfit(kind: ClaimType, column: &Column) -> Option<String> {
    let is_fit = match kind.scalar() {
        Scalar::Text => match column.kind {
            ColumnType::Cuid
            | ColumnType::String
            | ColumnType::Text
            | ColumnType::Email
            | ColumnType::Enum
            | ColumnType::Decimal
            | ColumnType::Date
            | ColumnType::Datetime => true,
            ColumnType::Uuid
            | ColumnType::Integer
            | ColumnType::Bigint
            | ColumnType::Float
            | ColumnType::Boolean
            | ColumnType::Json
            | ColumnType::Bytes => false,
        },
        Scalar::Uuid => matches!(
            column.kind,
            ColumnType::Uuid | ColumnType::String | ColumnType::Text
        ),
        Scalar::Integer => matches!(
            column.kind,
            ColumnType::Integer | ColumnType::Bigint | ColumnType::Float | ColumnType::Decimal
        ),
        Scalar::Boolean => column.kind == ColumnType::Boolean,
    };
    (!is_fit).then(|| {
        format!(
            "this claim is declared as `{kind}`, which can't be compared with `{}`: its type is {}",
            column.name,
            format!("{:?}", column.kind).to_lowercase()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_called_as_it_is_written() {
        for (name, kind) in TYPES {
            assert_eq!(ClaimType::parse(name), Ok(kind));
            assert_eq!(kind.to_string(), name);
        }
        let said = ClaimType::parse("strng").unwrap_err();
        assert!(said.contains("there are text, integer, boolean, uuid"), "{said}");
    }

    #[test]
    fn only_what_is_of_the_type_is_admitted() {
        use ClaimValue as Got;
        let text = |text: &str| Json::Text(text.to_owned());
        let id = "00000000-0000-7000-8000-00000000000A";
        for (kind, raw, expected) in [
            ("text", Got::Text("a".into()), Some(vec![text("a")])),
            ("text", Got::Int(1), None),
            ("integer", Got::Int(1), Some(vec![Json::Int(1)])),
            ("integer", Got::Text("1".into()), None),
            ("integer", Got::Bool(true), None),
            ("boolean", Got::Bool(true), Some(vec![Json::Bool(true)])),
            ("boolean", Got::Text("true".into()), None),
            ("uuid", Got::Text(id.into()), Some(vec![text(&id.to_lowercase())])),
            ("uuid", Got::Text(id.replace('-', "")), None),
            ("uuid", Got::Text("x".into()), None),
            (
                "list of text",
                Got::Texts(vec!["a".into(), "b".into()]),
                Some(vec![text("a"), text("b")]),
            ),
            ("list of text", Got::Texts(Vec::new()), Some(Vec::new())),
            ("list of text", Got::Text("a".into()), None),
            ("text", Got::Texts(vec!["a".into()]), None),
            ("list of uuid", Got::Texts(vec![id.into(), "x".into()]), None),
        ] {
            assert_eq!(
                admitted(ClaimType::parse(kind).unwrap(), &raw),
                expected,
                "{kind} {raw:?}"
            );
        }
    }
}
