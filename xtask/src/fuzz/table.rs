//! What runs came to, as a table: for the terminal, and for `docs/fuzzing.md`, where it stands between two marks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::running::Came;
use crate::Outcome;

const BEGIN: &str = "<!-- made by cargo xtask fuzz --table -->";
const END: &str = "<!-- end -->";

/// Writes the table into a document.
pub fn write(document: &Path, came: &[Came], each: Duration, jobs: usize, day: &str) -> Outcome {
    place(document, BEGIN, &table(came, each, jobs, day, &machine()))
}

/// Puts a table between a mark and the next end.
pub fn place(document: &Path, begin: &str, table: &str) -> Outcome {
    let text = fs::read_to_string(document)?;
    let marks = text
        .split_once(begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = marks else {
        return Err(format!("{} has no place for the table", document.display()).into());
    };
    fs::write(document, format!("{before}{begin}\n{table}{END}{after}"))?;
    Ok(())
}

fn table(came: &[Came], each: Duration, jobs: usize, day: &str, machine: &str) -> String {
    let mut table = format!(
        "{day}, {machine}; {} s for each target, {jobs} at once; no crash, no hang, no leak of memory.\n\n\
         | target | inputs tried | per second | `cov` | `ft` | inputs kept | MiB |\n|---|--:|--:|--:|--:|--:|--:|\n",
        each.as_secs()
    );
    for one in came {
        let Came {
            target,
            executions,
            per_second,
            coverage,
            features,
            inputs,
            memory_mib,
        } = one;
        table.push_str(&format!(
            "| `{target}` | {executions} | {per_second} | {coverage} | {features} | {inputs} | {memory_mib} |\n"
        ));
    }
    let executions: u64 = came.iter().map(|one| one.executions).sum();
    table.push_str(&format!("| all | {executions} | | | | | |\n"));
    table
}

/// As the kernel names the processor, and how many of them.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, name)| name);
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    format!("{count} × {model}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_takes_the_place_of_the_one_before_and_of_nothing_else() {
        let folder = std::env::temp_dir().join(format!("dbal-xtask-table-{}", std::process::id()));
        fs::write(&folder, format!("a\n{BEGIN}\nold\n{END}\nb\n")).unwrap();
        let one = Came {
            target: "x".to_owned(),
            executions: 7,
            per_second: 3,
            coverage: 2,
            features: 4,
            inputs: 1,
            memory_mib: 30,
        };
        write(&folder, &[one], Duration::from_secs(2), 1, "today").unwrap();
        let text = fs::read_to_string(&folder).unwrap();
        fs::remove_file(&folder).unwrap();
        assert!(
            text.starts_with("a\n") && text.ends_with("\nb\n") && !text.contains("old"),
            "{text}"
        );
        assert!(text.contains("| `x` | 7 | 3 | 2 | 4 | 1 | 30 |"), "{text}");
    }
}
