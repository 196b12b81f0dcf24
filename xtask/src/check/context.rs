//! Whether the images' build is handed what it compiles: `.dockerignore` names what of the tree it gets, and a program may include any file.

use std::error::Error;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Finding, Source, Sources};
use crate::run::root;

/// Takes a file's text into the program, by a path from the file that says so.
const INCLUDES: [&str; 2] = ["include_str!(", "include_bytes!("];

/// Every member of the workspace, without which cargo starts nothing, and every file that one includes.
pub fn check(sources: &Sources) -> Result<Finding, Box<dyn Error>> {
    let told = fs::read_to_string(root().join(".dockerignore"))?;
    let handed: Vec<&Path> = told
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .map(Path::new)
        .collect();
    let (mut seen, mut broken) = (0, Vec::new());
    let mut look = |needed: &Path, by: &Path| {
        seen += 1;
        if !handed.iter().any(|folder| needed.starts_with(folder)) {
            broken.push(format!(
                "{} needs {}, which .dockerignore leaves out",
                by.display(),
                needed.display()
            ));
        }
    };
    let is_member = |path: &&PathBuf| path.ends_with("Cargo.toml") && !path.starts_with("fuzz");
    for manifest in sources.paths.iter().filter(is_member) {
        look(manifest, Path::new("the workspace"));
    }
    for source in sources.rust.iter().filter(|source| is_built(&source.path)) {
        for file in included(source) {
            look(&file, &source.path);
        }
    }
    Ok(Finding {
        rule: "the images' build is handed all that the programs are made of",
        seen,
        broken,
    })
}

fn is_built(path: &Path) -> bool {
    let is_test = |part: Component<'_>| ["tests", "tests.rs"].contains(&&*part.as_os_str().to_string_lossy());
    !path.starts_with("fuzz") && !path.components().any(is_test)
}

/// The files that a source includes outside of its tests, from the root.
fn included(source: &Source) -> Vec<PathBuf> {
    let built = source.text.split("#[cfg(test)]").next().unwrap_or_default();
    let folder = source.path.parent().unwrap_or(Path::new(""));
    let calls = INCLUDES.iter().flat_map(|include| built.split(include).skip(1));
    calls
        .filter_map(|after| after.trim_start().strip_prefix('"')?.split('"').next())
        .map(|name| walked(&folder.join(name)))
        .collect()
}

/// Without its `..`, by the names alone.
fn walked(path: &Path) -> PathBuf {
    let mut walked = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            walked.pop();
        } else {
            walked.push(part);
        }
    }
    walked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_includes_is_found_wherever_it_lies() {
        let source = Source {
            path: PathBuf::from("cli/src/doctor/units.rs"),
            text: "let a = include_str!(\n    \"../../../systemd/a.service\");\nlet b = include_bytes!(\"b\");\n\
                   #[cfg(test)]\ninclude_str!(\"c\")"
                .to_owned(),
        };
        let names = ["systemd/a.service", "cli/src/doctor/b"].map(PathBuf::from);
        assert_eq!(included(&source), names);
        assert!(is_built(&source.path));
        assert!(!is_built(Path::new("worker/config/tests/open.rs")));
    }
}
