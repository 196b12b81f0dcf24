//! `cargo xtask check`: the rules of the house that no compiler knows. Each rule says what it looked at.

mod files;
mod promises;
mod dependencies;
mod reasons;
mod binaries;
mod units;
mod monitoring;
mod containers;
mod context;

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::run::{command, output, root, say};

/// What a rule looked at and what it did not like.
pub struct Finding {
    /// The rule, as a sentence.
    pub rule: &'static str,
    /// How many things it looked at: none means that the rule itself is broken.
    pub seen: usize,
    /// What breaks it.
    pub broken: Vec<String>,
}

/// The house rules, the directions of dependencies, units, manifests and strings of the shipped binaries.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Rewrite the golden files.
    #[arg(long)]
    update: bool,
    /// Build nothing: leave the release binaries and the containers out.
    #[arg(long)]
    quick: bool,
}

/// All rules.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments { update, quick } = *arguments;
    let sources = Sources::read()?;
    let mut findings = files::check(&sources);
    findings.push(promises::check(&sources));
    findings.extend(dependencies::check(update)?);
    findings.push(reasons::check()?);
    findings.extend(units::check()?);
    findings.push(monitoring::check()?);
    findings.push(context::check(&sources)?);
    if !quick {
        findings.extend(containers::check()?);
        findings.extend(binaries::check()?);
    }
    let mut broken = 0_usize;
    for finding in &findings {
        let mark = if finding.broken.is_empty() && finding.seen > 0 {
            "ok  "
        } else {
            "FAIL"
        };
        println!("{mark} {} ({} looked at)", finding.rule, finding.seen);
        for line in &finding.broken {
            println!("       {line}");
        }
        broken += finding.broken.len() + usize::from(finding.seen == 0);
    }
    say(&format!("{} rules, {broken} broken", findings.len()));
    if broken == 0 {
        Ok(())
    } else {
        Err(format!("{broken} findings").into())
    }
}

/// The files that git knows or would take, with the text of the Rust ones.
pub struct Sources {
    /// Every path.
    pub paths: Vec<PathBuf>,
    /// The Rust files.
    pub rust: Vec<Source>,
}

/// One Rust file.
pub struct Source {
    /// Relative to the root.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

impl Source {
    /// The lines before its unit tests.
    pub fn lines_without_tests(&self) -> usize {
        self.text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count()
    }
}

impl Sources {
    fn read() -> Result<Self, Box<dyn std::error::Error>> {
        let listed = output(command(
            "git",
            ["ls-files", "--cached", "--others", "--exclude-standard"],
        ))?;
        let root = root();
        let mut paths: Vec<PathBuf> = listed
            .lines()
            .map(PathBuf::from)
            .filter(|path| root.join(path).exists())
            .collect();
        paths.sort();
        paths.dedup();
        let mut rust = Vec::new();
        for path in paths.iter().filter(|path| is_rust(path)) {
            rust.push(Source {
                path: path.clone(),
                text: std::fs::read_to_string(root.join(path))?,
            });
        }
        Ok(Self { paths, rust })
    }
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}
