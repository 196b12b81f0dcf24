//! One target at work: libFuzzer's program is started, watched, and its last words read.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::changed;
use crate::run::root;

/// How often it is looked whether it is done.
const LOOK: Duration = Duration::from_millis(10);
/// What takes so long that is done in seconds has found something, though no single input took long.
const REPLAY: Duration = Duration::from_secs(300);
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
    /// Changed copies of those in git.
    changed: PathBuf,
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
            changed: fuzz.join("target/changed").join(target),
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
    pub work: Work,
    /// For one.
    pub input_seconds: u32,
    /// For one.
    pub memory_mib: u32,
}

/// Which inputs are tried.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Those that are kept, and so many changed copies of them.
    Replay(usize),
    /// Whatever libFuzzer finds in so much time.
    Search(Duration),
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
        work,
        input_seconds,
        memory_mib,
    } = terms;
    let failed = |error: std::io::Error| format!("{}: {error}", program.target);
    let mut command = program.command()?;
    let (inputs, most) = match work {
        Work::Replay(copies) => {
            let kept = changed::files(&program.corpus).map_err(failed)?;
            let is_tried = |file: &&PathBuf| fs::metadata(file).is_ok_and(|file| file.len() > 0);
            let kept = kept.iter().filter(is_tried).count();
            changed::write(&program.corpus, &program.changed, *copies).map_err(failed)?;
            command.args([&program.changed, &program.corpus]).arg("-runs=0");
            (kept.saturating_add(*copies), REPLAY)
        }
        Work::Search(time) => {
            // New inputs go to the first, so that a run leaves those in git as they are.
            command.args([&program.found, &program.corpus]);
            command.arg(format!("-max_total_time={}", time.as_secs()));
            (1, Duration::MAX)
        }
    };
    command
        .arg(format!("-timeout={input_seconds}"))
        .arg(format!("-rss_limit_mb={memory_mib}"))
        .arg("-print_final_stats=1");
    let began = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| format!("{} could not start: {error}", program.file.display()))?;
    let status = loop {
        let is_late = began.elapsed() > most;
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if is_late || is_over.load(Ordering::Relaxed) => {
                let _ = child.kill();
                let _ = child.wait();
                let why = format!("{}: {inputs} inputs took more than {most:?}", program.target);
                return if is_late { Err(why) } else { Ok(None) };
            }
            None => sleep(LOOK),
        }
    };
    let took = began.elapsed();
    let words = program.last_words();
    if !status.success() {
        return Err(found(program, &words, &status.to_string()));
    }
    let came = read(&program.target, &words, took);
    let is_done = |came: &Came| usize::try_from(came.executions).is_ok_and(|tried| tried >= inputs);
    came.filter(is_done).map(Some).ok_or_else(|| {
        format!(
            "{} does not say that it tried {inputs} inputs; see {}",
            program.target,
            program.log.display()
        )
    })
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

/// The last line that tells of coverage, and libFuzzer's own counts after it. Its rate is none: it counts whole seconds.
fn read(target: &str, words: &str, took: Duration) -> Option<Came> {
    let last = words.lines().rfind(|line| line.contains(" cov: "))?;
    let after = |name: &str| {
        let (_, rest) = last.split_once(name)?;
        rest.split([' ', '/']).find(|word| !word.is_empty())?.parse().ok()
    };
    let counted = |name: &str| {
        let line = words.lines().rfind(|line| line.starts_with(name))?;
        line.split_whitespace().last()?.parse().ok()
    };
    let executions: u64 = counted("stat::number_of_executed_units:")?;
    let per_second = u128::from(executions).saturating_mul(1_000) / took.as_millis().max(1);
    Some(Came {
        target: target.to_owned(),
        executions,
        per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
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
        let came = read("x", words, Duration::from_millis(1_600)).unwrap();
        assert_eq!(
            (
                came.executions,
                came.per_second,
                came.coverage,
                came.features,
                came.inputs,
                came.memory_mib
            ),
            (8192, 5120, 1204, 5630, 77, 61)
        );
        assert!(read("x", "ld.so: no such library\n", Duration::ZERO).is_none());
    }
}
