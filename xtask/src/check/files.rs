//! Rules about single files: what they begin with, how long they are, what they are called, what they wave through.

use std::path::Path;

use super::{Finding, Source, Sources};

/// Longest file, in lines before its tests.
const LONGEST: usize = 800;
/// Names that say nothing about a file's job.
const NAMELESS: [&str; 7] = ["utils", "util", "helpers", "helper", "common", "misc", "manager"];

/// Every rule of this kind.
pub fn check(sources: &Sources) -> Vec<Finding> {
    let mut findings = vec![
        each(
            sources,
            "every Rust file begins with `//!` and says why it exists",
            |source| {
                let first = source.text.lines().next().unwrap_or_default();
                (first.len() < 12 || !first.starts_with("//! ") || first.contains("Not written yet"))
                    .then(|| format!("{}: {first}", source.path.display()))
            },
        ),
        each(
            sources,
            "no file is longer than 800 lines before its tests",
            |source| {
                let lines = source.lines_without_tests();
                (lines > LONGEST).then(|| format!("{}: {lines} lines", source.path.display()))
            },
        ),
        each(
            sources,
            "exceptions are `#[expect(…, reason = …)]`, never `#[allow]`",
            |source| {
                line_with(source, |line| {
                    line.starts_with("#[allow(") || line.starts_with("#![allow(")
                })
            },
        ),
        each(sources, "ignored tests name an issue", |source| {
            line_with(source, |line| {
                line.starts_with("#[ignore") && !line.starts_with("#[ignore = \"issue-")
            })
        }),
        each(sources, "nothing is left half done", |source| {
            line_with(source, |line| {
                ["todo!(", "unimplemented!(", "dbg!("]
                    .iter()
                    .any(|word| line.starts_with(word))
            })
        }),
    ];
    findings.push(nameless(sources));
    findings.push(unsafe_roots(sources));
    findings
}

fn each(sources: &Sources, rule: &'static str, breaks: impl Fn(&Source) -> Option<String>) -> Finding {
    Finding {
        rule,
        seen: sources.rust.len(),
        broken: sources.rust.iter().filter_map(breaks).collect(),
    }
}

fn line_with(source: &Source, is_bad: impl Fn(&str) -> bool) -> Option<String> {
    let (index, line) = source
        .text
        .lines()
        .enumerate()
        .find(|(_, line)| is_bad(line.trim_start()))?;
    Some(format!(
        "{}:{}: {}",
        source.path.display(),
        index + 1,
        line.trim()
    ))
}

fn nameless(sources: &Sources) -> Finding {
    let says_nothing = |path: &Path| {
        path.components()
            .filter_map(|part| part.as_os_str().to_str())
            .any(|part| NAMELESS.contains(&part.split('.').next().unwrap_or(part)))
    };
    Finding {
        rule: "names say what a file is for",
        seen: sources.paths.len(),
        broken: sources
            .paths
            .iter()
            .filter(|path| says_nothing(path))
            .map(|path| path.display().to_string())
            .collect(),
    }
}

/// `#![forbid(unsafe_code)]` at each root; a root without it must contain unsafe code, or its exemption is needless.
fn unsafe_roots(sources: &Sources) -> Finding {
    let is_root = |source: &&Source| {
        let path = source.path.to_string_lossy();
        path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.contains("src/bin/")
    };
    let roots: Vec<&Source> = sources.rust.iter().filter(is_root).collect();
    let has_unsafe = |root: &Source| {
        let folder = root.path.parent().unwrap_or(Path::new(""));
        sources
            .rust
            .iter()
            .filter(|source| source.path.starts_with(folder))
            .any(|source| {
                source
                    .text
                    .lines()
                    .any(|line| line.contains("unsafe {") || line.contains("unsafe impl"))
            })
    };
    let broken = roots
        .iter()
        .filter(|root| !root.text.contains("#![forbid(unsafe_code)]") && !has_unsafe(root))
        .map(|root| format!("{}: no `#![forbid(unsafe_code)]`", root.path.display()))
        .collect();
    Finding {
        rule: "crate roots forbid unsafe code, unless they need it",
        seen: roots.len(),
        broken,
    }
}
