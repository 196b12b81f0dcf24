//! One target at work: libFuzzer's program is started, watched, and its last words read.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::run::root;

/// How often it is looked whether it is done.
const LOOK: Duration = Duration::from_millis(100);
/// Lines of the log that are shown of a target that found something.
const SHOWN: usize = 40;

/// A target's program and its folders.
pub struct Program {
    /// The target's name.
    pub target: String,
    file: PathBuf,
    /// Inputs that are kept in git.
    pub corpus: PathBuf,
    /// Those that runs here have found beside them.
    pub found: PathBuf,
    /// Those of the last run that began with the corpus alone.
    smoke: PathBuf,
    artifacts: PathBuf,
    log: PathBuf,
}

impl Program {
    /// As cargo-fuzz builds it.
    pub fn new(target: &str, host: &str) -> Self {
        let fuzz = root().join("fuzz");
        Self {
            target: target.to_owned(),
            file: fuzz.join("target").join(host).join("release").join(target),
            corpus: fuzz.join("corpus").join(target),
            found: fuzz.join("target/found").join(target),
            smoke: fuzz.join("target/smoke").join(target),
            artifacts: fuzz.join("artifacts").join(target),
            log: fuzz.join("target/logs").join(format!("{target}.log")),
        }
    }

    /// Ready to be started, its words going to its log.
    pub fn command(&self) -> Result<Command, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.target);
        for folder in [&self.corpus, &self.found, &self.artifacts] {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(self.log.parent().unwrap_or(&self.log)).map_err(failed)?;
        let log = File::create(&self.log).map_err(failed)?;
        let mut command = Command::new(&self.file);
        command
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .arg(format!("-artifact_prefix={}/", self.artifacts.display()));
        Ok(command)
    }

    fn last_words(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

/// Bounds on a run.
pub struct Terms {
    /// For all inputs.
    pub time: Duration,
    /// For one.
    pub input_seconds: u32,
    /// For one.
    pub memory_mib: u32,
    /// Begin with the corpus alone and this seed, and try so many inputs.
    pub same: Option<(u32, u64)>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Came {
    /// The target.
    pub target: String,
    /// Inputs that were tried.
    pub executions: u64,
    /// Of them in a second.
    pub per_second: u64,
    /// Places in the program that were reached (libFuzzer's `cov`).
    pub coverage: u64,
    /// Places and how often, in which order (libFuzzer's `ft`).
    pub features: u64,
    /// Inputs that each reach something of their own.
    pub inputs: u64,
    /// Most memory, in MiB.
    pub memory_mib: u64,
}

impl Came {
    /// For people.
    pub fn line(&self) -> String {
        let Self {
            target,
            executions,
            per_second,
            coverage,
            features,
            inputs,
            memory_mib,
        } = self;
        format!(
            "{target:<18} {executions:>9} inputs, {per_second:>6}/s, cov {coverage:>6}, ft {features:>6}, kept {inputs:>5}, {memory_mib} MiB"
        )
    }
}

/// Runs a target to its end; none when `is_over` ended it. An error is what it found, and how to see it again.
pub fn run(program: &Program, terms: &Terms, is_over: &AtomicBool) -> Result<Option<Came>, String> {
    let Terms {
        time,
        input_seconds,
        memory_mib,
        same,
    } = terms;
    let mut command = program.command()?;
    if let Some((seed, runs)) = same {
        let _ = fs::remove_dir_all(&program.smoke);
        fs::create_dir_all(&program.smoke).map_err(|error| format!("{}: {error}", program.target))?;
        command.arg(format!("-seed={seed}")).arg(format!("-runs={runs}"));
    }
    let inputs = if same.is_some() {
        &program.smoke
    } else {
        &program.found
    };
    command
        // New inputs go to the first, so that a run leaves those in git as they are.
        .args([inputs, &program.corpus])
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-timeout={input_seconds}"))
        .arg(format!("-rss_limit_mb={memory_mib}"))
        .arg("-print_final_stats=1");
    let mut child = command
        .spawn()
        .map_err(|error| format!("{} could not start: {error}", program.file.display()))?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if is_over.load(Ordering::Relaxed) => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
            Ok(None) => sleep(LOOK),
            Err(error) => return Err(format!("{}: {error}", program.target)),
        }
    };
    let words = program.last_words();
    if status.success() {
        return read(&program.target, &words).map(Some).ok_or_else(|| {
            format!(
                "{} said nothing of what it did; see {}",
                program.target,
                program.log.display()
            )
        });
    }
    Err(found(program, &words, &status.to_string()))
}

/// What it found: the last lines of its log, the input, and the command that shows it again.
fn found(program: &Program, words: &str, status: &str) -> String {
    let lines: Vec<&str> = words.lines().collect();
    let last = lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or(&lines);
    let input = lines
        .iter()
        .find_map(|line| line.split_once("Test unit written to "))
        .map_or("INPUT", |(_, path)| path);
    format!(
        "{} found something ({status}):\n{}\n\nall of it: {}\nonce more:  {} {input}\nsmaller:    {} -minimize_crash=1 -runs=100000 {input}",
        program.target,
        last.join("\n"),
        program.log.display(),
        program.file.display(),
        program.file.display(),
    )
}

/// The last line that tells of coverage, and libFuzzer's own counts after it.
fn read(target: &str, words: &str) -> Option<Came> {
    let last = words.lines().rfind(|line| line.contains(" cov: "))?;
    let after = |name: &str| {
        let (_, rest) = last.split_once(name)?;
        rest.split([' ', '/']).find(|word| !word.is_empty())?.parse().ok()
    };
    let counted = |name: &str| {
        let line = words.lines().rfind(|line| line.starts_with(name))?;
        line.split_whitespace().last()?.parse().ok()
    };
    Some(Came {
        target: target.to_owned(),
        executions: counted("stat::number_of_executed_units:")?,
        per_second: counted("stat::average_exec_per_sec:")?,
        coverage: after(" cov: ")?,
        features: after(" ft: ")?,
        inputs: after(" corp: ")?,
        memory_mib: counted("stat::peak_rss_mb:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_run_are_read_from_its_last_words() {
        let words = "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                     #8192\tDONE   cov: 1204 ft: 5630 corp: 77/12Kb lim: 4096 exec/s: 4096 rss: 61Mb\n\
                     Done 8192 runs in 2 second(s)\n\
                     stat::number_of_executed_units: 8192\n\
                     stat::average_exec_per_sec:     4096\n\
                     stat::new_units_added:          70\n\
                     stat::peak_rss_mb:              61\n";
        let came = read("x", words).unwrap();
        assert_eq!(
            (
                came.executions,
                came.per_second,
                came.coverage,
                came.features,
                came.inputs,
                came.memory_mib
            ),
            (8192, 4096, 1204, 5630, 77, 61)
        );
        assert!(read("x", "ld.so: no such library\n").is_none());
    }
}
