//! The `acl:` of an entity file: who may do what, as written there.

use crate::acl::{InlineOperation, Who};
use crate::declared::{DeclaredAcl, DeclaredRule};
use crate::mapping::{At, Mapping};
use crate::report::Report;
use crate::scalar::Scalar;
use crate::suggestion;
use crate::yaml::{Content, Key, Node};

const OPERATIONS: [(&str, InlineOperation); 5] = [
    ("create", InlineOperation::Create),
    ("read", InlineOperation::Read),
    ("list", InlineOperation::List),
    ("update", InlineOperation::Update),
    ("delete", InlineOperation::Delete),
];

/// Keys of an operation that are not names of roles.
const WORDS: [&str; 6] = ["public", "system", "self", "role", "row_level", "writable_fields"];

pub(crate) fn read(node: &Node, report: &mut Report) -> DeclaredAcl {
    let Some(mut map) = Mapping::of(node, "`acl`", report) else {
        return DeclaredAcl::default();
    };
    let operations: Vec<_> = map.drain().collect();
    let rules = operations
        .into_iter()
        .filter_map(|(key, node)| read_rule(key, node, report))
        .collect();
    DeclaredAcl {
        at: Some(node.at.clone()),
        rules,
    }
}

fn read_rule(key: &Key, node: &Node, report: &mut Report) -> Option<DeclaredRule> {
    let Some((_, operation)) = OPERATIONS.iter().find(|(name, _)| *name == key.name) else {
        let hint = suggestion::hint(&key.name, OPERATIONS.iter().map(|(name, _)| *name));
        report.problem(
            &key.at,
            format!("unknown operation `{}` in `acl`{hint}", key.name),
        );
        return None;
    };
    let mut map = Mapping::of(node, &format!("`acl.{}`", key.name), report)?;
    let row_level = map.scalar(&["row_level", "rowLevel"], report);
    let writable_fields = map.texts(&["writable_fields", "writableFields"], report);
    let roles = map.texts(&["role", "roles"], report).unwrap_or_default();
    let mut grants: Vec<At<Who>> = roles
        .into_iter()
        .map(|At { at, value }| At {
            at,
            value: who(&value),
        })
        .collect();
    let rest: Vec<_> = map.drain().collect();
    grants.extend(
        rest.into_iter()
            .filter_map(|(key, node)| read_grant(key, node, report)),
    );
    if let Some(row_level) = &row_level
        && grants.iter().any(|grant| grant.value == Who::SelfRow)
    {
        check_self(row_level, &grants, report);
    }
    Some(DeclaredRule {
        at: key.at.clone(),
        operation: *operation,
        grants,
        row_level,
        writable_fields,
    })
}

/// Claims that even a caller without a proof has; a row that is compared with these alone is nobody's own.
const CLAIMS_OF_EVERYBODY: [&str; 2] = ["role", "level"];

/// `row_level` beside `self` says whose row it is, so it must speak of the caller: `self` is open to whoever it fits.
/// The others of the same operation reach every row, which is worth a look where they are many.
fn check_self(row_level: &Scalar, grants: &[At<Who>], report: &mut Report) {
    let names_caller = row_level.text.split("$user.").skip(1).any(|rest| {
        let claim = rest
            .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .next();
        claim.is_some_and(|claim| !claim.is_empty() && !CLAIMS_OF_EVERYBODY.contains(&claim))
    });
    if !names_caller {
        report.problem(
            &row_level.at,
            "`row_level` beside `self` must compare a field with a claim of the caller, such as `ownerId = $user.id`",
        );
    }
    for grant in grants {
        if matches!(&grant.value, Who::Public) || matches!(&grant.value, Who::Role(role) if role == "user") {
            report.warning(
                &grant.at,
                "`row_level` beside `self` says which rows `self` reaches; this grant reaches all of them",
            );
        }
    }
}

/// `public: true`, `moderator: true`. A false grants nothing; nothing can take a grant away.
fn read_grant(key: &Key, node: &Node, report: &mut Report) -> Option<At<Who>> {
    let Content::Bool(is_granted) = node.content else {
        let hint = suggestion::hint(&key.name, WORDS);
        report.problem(
            &node.at,
            format!(
                "`{}` must be true or false, as every role in `acl` is, not {}{hint}",
                key.name,
                node.kind()
            ),
        );
        return None;
    };
    is_granted.then(|| At {
        at: key.at.clone(),
        value: who(&key.name),
    })
}

fn who(name: &str) -> Who {
    match name {
        "public" => Who::Public,
        "self" => Who::SelfRow,
        "system" => Who::System,
        role => Who::Role(role.to_owned()),
    }
}
