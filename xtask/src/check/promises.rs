//! A promise without its test is a hope: every test that the documents name must exist.

use std::collections::HashSet;

use super::{Finding, Sources};
use crate::run::root;

/// The documents that name tests.
const DOCUMENTS: [&str; 5] = [
    "SECURITY.md",
    "docs/promises.md",
    "docs/attacks.md",
    "docs/semantics.md",
    "docs/overload.md",
];

/// Looks for every `name_of_a_test` in backticks among the functions of the tree.
pub fn check(sources: &Sources) -> Finding {
    let functions: HashSet<&str> = sources
        .rust
        .iter()
        .flat_map(|source| source.text.lines())
        .filter_map(|line| {
            // The cases of all databases are seen by the module of each; one that no `cases!` names is dead code to the compiler.
            let line = line.trim_start();
            let (seen, behind) = line.split_once(' ').unwrap_or_default();
            let is_shared = ["pub(super)", "pub(in"].contains(&seen);
            let line = if is_shared { behind } else { line };
            let line = line.strip_prefix("crate::database) ").unwrap_or(line);
            let line = line.strip_prefix("async ").unwrap_or(line);
            line.strip_prefix("fn ")?.split(['(', '<']).next()
        })
        .collect();
    let (mut seen, mut broken) = (0, Vec::new());
    for document in DOCUMENTS {
        let Ok(text) = std::fs::read_to_string(root().join(document)) else {
            broken.push(format!("{document} can't be read"));
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for name in line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|name| is_test_name(name))
            {
                seen += 1;
                let name = name.rsplit("::").next().unwrap_or(name);
                if !functions.contains(name) {
                    broken.push(format!("{document}:{}: there is no test `{name}`", number + 1));
                }
            }
        }
    }
    Finding {
        rule: "every test that a promise names exists",
        seen,
        broken,
    }
}

/// Tests are sentences: four words at least. Metrics look like that, too.
fn is_test_name(text: &str) -> bool {
    text.matches('_').count() >= 3
        && !text.starts_with("dbal_")
        && text
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_:".contains(letter))
}
