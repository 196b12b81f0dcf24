//! Which lines of a parser the kept inputs reach: the targets are built once more, with the compiler's own counters, and given
//! every input once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::parsers;
use crate::Outcome;
use crate::llvm::Tools;
use crate::run::{command, output, root, say, show};

/// What was reached of a target's own files.
#[derive(Debug, Default, PartialEq)]
pub struct Reached {
    pub target: String,
    /// By file: lines reached, and lines that there are.
    pub files: BTreeMap<String, (u64, u64)>,
    /// `file:line fn …` of functions that no input reached.
    pub missed: Vec<String>,
}

impl Reached {
    /// Lines reached, and lines that there are.
    pub fn lines(&self) -> (u64, u64) {
        self.files
            .values()
            .fold((0, 0), |(reached, all), (more, of)| (reached + more, all + of))
    }
}

/// Builds the targets, gives each its corpus, and tells what was reached.
pub fn run(targets: &[&str], host: &str) -> Result<Vec<Reached>, Box<dyn std::error::Error>> {
    let tools = Tools::find(host)?;
    let folder = root().join("fuzz/target/coverage");
    let mut build = command(
        "cargo",
        [
            "build",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--locked",
            "--profile",
            "coverage",
        ],
    );
    build.arg("--target-dir").arg(&folder);
    for target in targets {
        build.args(["--bin", target]);
    }
    build
        .env("RUSTFLAGS", "--cfg fuzzing")
        .env("RUSTC_WRAPPER", root().join("fuzz/count-ours.sh"));
    show(build)?;
    let mut reached = Vec::new();
    for target in targets {
        let one = of(target, &folder, &tools)?;
        let (lines, all) = one.lines();
        say(&format!(
            "{target}: {lines} of {all} lines, {} functions never",
            one.missed.len()
        ));
        for (file, (lines, all)) in &one.files {
            println!("    {lines:>5} of {all:>5}  {file}");
        }
        for missed in &one.missed {
            println!("    never  {missed}");
        }
        reached.push(one);
    }
    say(&format!("line by line: {}", folder.join("shown").display()));
    Ok(reached)
}

/// The lines of the table.
pub fn table(reached: &[Reached], day: &str) -> String {
    let mut table = format!(
        "{day}, the inputs in `fuzz/corpus` alone, each once.\n\n\
         | target | lines reached | of | % | functions never called |\n|---|--:|--:|--:|--:|\n"
    );
    for one in reached {
        let (lines, all) = one.lines();
        let percent = lines.saturating_mul(100) / all.max(1);
        table.push_str(&format!(
            "| `{}` | {lines} | {all} | {percent} | {} |\n",
            one.target,
            one.missed.len()
        ));
    }
    table
}

fn of(target: &str, folder: &Path, tools: &Tools) -> Result<Reached, Box<dyn std::error::Error>> {
    let files =
        parsers::of(target).ok_or_else(|| format!("xtask/src/fuzz/parsers.rs does not name {target}"))?;
    let program = folder.join("coverage").join(target);
    let (raw, merged) = (
        folder.join(format!("{target}.profraw")),
        folder.join(format!("{target}.profdata")),
    );
    let corpus = root().join("fuzz/corpus").join(target);
    let mut inputs = command(&program, ["-runs=0"]);
    inputs
        .arg(&corpus)
        .env("LLVM_PROFILE_FILE", &raw)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = inputs.status()?;
    if !status.success() {
        return Err(format!(
            "{target} ended at an input of its corpus: {status}; run `cargo xtask fuzz --smoke`"
        )
        .into());
    }
    let mut merge = command(&tools.profdata, ["merge", "-sparse", "-o"]);
    merge.arg(&merged).arg(&raw);
    output(merge)?;
    let sources = sources(files)?;
    let asked = |task: &[&str]| {
        let mut cov = command(&tools.cov, task);
        cov.arg(format!("-instr-profile={}", merged.display()))
            .arg(&program)
            .args(&sources);
        output(cov)
    };
    let shown = folder.join("shown");
    fs::create_dir_all(&shown)?;
    fs::write(
        shown.join(format!("{target}.txt")),
        asked(&["show", "-use-color=0", "-show-instantiations=0"])?,
    )?;
    let told: Value = serde_json::from_str(&asked(&["export", "-format=text"])?)?;
    Ok(read(target, &told, &sources))
}

/// The files, and those in the folders and beside them that are modules of them.
fn sources(files: &[&str]) -> std::io::Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    for file in files {
        let path = root().join(file.trim_end_matches('/'));
        let module = path.with_extension("rs");
        if module.is_file() {
            sources.push(module);
        }
        if path.is_dir() {
            add(&path, &mut sources)?;
        }
    }
    sources.sort();
    sources.dedup();
    Ok(sources)
}

fn add(folder: &Path, sources: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add(&path, sources)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push(path);
        }
    }
    Ok(())
}

/// What `llvm-cov export` says of these files (llvm-cov(1)).
fn read(target: &str, told: &Value, sources: &[PathBuf]) -> Reached {
    let list = |of: &Value, name: &str| {
        of.get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let text = |of: &Value, name: &str| {
        of.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let data = told.pointer("/data/0").cloned().unwrap_or_default();
    let mut reached = Reached {
        target: target.to_owned(),
        ..Reached::default()
    };
    for file in list(&data, "files") {
        let path = PathBuf::from(text(&file, "filename"));
        let number = |path: &str| file.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        if sources.contains(&path) {
            let lines = (number("/summary/lines/covered"), number("/summary/lines/count"));
            reached.files.insert(short(&path), lines);
        }
    }
    // One of many types is one function; it was called if any of them was.
    let mut calls: BTreeMap<(PathBuf, u64), u64> = BTreeMap::new();
    for function in list(&data, "functions") {
        let file = function.pointer("/filenames/0").and_then(Value::as_str);
        let line = function.pointer("/regions/0/0").and_then(Value::as_u64);
        let count = function.get("count").and_then(Value::as_u64).unwrap_or(0);
        if let (Some(file), Some(line)) = (file, line) {
            let called = calls.entry((PathBuf::from(file), line)).or_default();
            *called = (*called).max(count);
        }
    }
    for ((path, line), _) in calls.into_iter().filter(|(_, count)| *count == 0) {
        let source = if sources.contains(&path) {
            fs::read_to_string(&path).unwrap_or_default()
        } else {
            continue;
        };
        let at = usize::try_from(line).unwrap_or(0).saturating_sub(1);
        let head = source.lines().nth(at).unwrap_or_default().trim();
        // Closures are lines of the function around them.
        if head.contains("fn ") {
            let head = head.split('(').next().unwrap_or(head);
            reached.missed.push(format!("{}:{line} {head}", short(&path)));
        }
    }
    reached
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Writes the table where it belongs.
pub fn write(document: &Path, reached: &[Reached], day: &str) -> Outcome {
    super::table::place(document, BEGIN, &table(reached, day))
}

const BEGIN: &str = "<!-- made by cargo xtask fuzz --coverage --table -->";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_and_functions_are_read_as_llvm_tells_them() {
        let path = root().join("xtask/src/fuzz/coverage.rs");
        let own = fs::read_to_string(&path).unwrap();
        let line = own
            .lines()
            .position(|line| line.starts_with("fn short("))
            .unwrap()
            + 1;
        let file = path.to_str().unwrap();
        let told = json!({"data": [{
            "files": [
                {"filename": file, "summary": {"lines": {"count": 10, "covered": 7}}},
                {"filename": "/elsewhere.rs", "summary": {"lines": {"count": 90, "covered": 90}}},
            ],
            "functions": [
                {"filenames": [file], "count": 0, "regions": [[line, 1, line, 2, 0, 0, 0, 0]]},
                {"filenames": [file], "count": 0, "regions": [[1, 1, 1, 2, 0, 0, 0, 0]]},
            ],
        }]});
        let sources = [path.clone()];
        let one = read("x", &told, &sources);
        assert_eq!(one.lines(), (7, 10));
        assert_eq!(
            one.missed,
            [format!("xtask/src/fuzz/coverage.rs:{line} fn short")]
        );
        let mut twice = told.clone();
        twice["data"][0]["functions"][1] = twice["data"][0]["functions"][0].clone();
        twice["data"][0]["functions"][1]["count"] = json!(3);
        assert_eq!(read("x", &twice, &sources).missed, Vec::<String>::new());
        assert!(table(&[one], "today").contains("| `x` | 7 | 10 | 70 | 1 |"));
    }
}
