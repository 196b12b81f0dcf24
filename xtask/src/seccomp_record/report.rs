//! What the recording says, as a table for people, and what of it must be mended.

use super::DAEMONS;
use super::tally::{Seen, Tally, list};
use dbal_sandbox::filters::Rule;

/// What others on the machine bring about: that somebody stops a daemon for a while (a debugger, a machine that is moved), or that two
/// threads meet. That a run has seen it does not make it seen in each.
const BY_CHANCE: [&str; 2] = ["SYS_restart_syscall", "SYS_sched_yield"];

/// Prints it; the result counts the findings. Only a whole run knows what is never used.
pub(super) fn print(tally: &Tally, is_whole: bool) -> usize {
    let mut findings = 0;
    for daemon in DAEMONS {
        let Some(seen) = tally.of.get(daemon) else {
            continue;
        };
        findings += print_one(daemon, seen, is_whole);
    }
    if is_whole {
        findings += needless(tally);
        println!("\nfor docs/sandbox.md:\n\n{}", table(tally));
    }
    findings
}

/// The counts of both, as docs/sandbox.md has them.
fn table(tally: &Tally) -> String {
    let seen: Vec<(usize, &Seen)> = DAEMONS
        .iter()
        .filter_map(|daemon| Some((list(daemon).len(), tally.of.get(daemon)?)))
        .collect();
    let reasoned = |daemon: &str, is_reasoned: bool| {
        let used = tally.of.get(daemon).map(|seen| &seen.used);
        let lines = list(daemon).into_iter().enumerate();
        let unused = lines.filter(|(index, _)| used.is_none_or(|used| !used.contains_key(index)));
        unused
            .filter(|(_, rule)| rule.unseen.is_some() == is_reasoned)
            .count()
    };
    let sum = |calls: &mut dyn Iterator<Item = &u64>| grouped(calls.copied().sum());
    let rows: [(&str, Vec<String>); 8] = [
        (
            "processes that locked themselves in",
            seen.iter().map(|(_, seen)| seen.processes.to_string()).collect(),
        ),
        (
            "calls before the lock, of so many kinds",
            seen.iter()
                .map(|(_, seen)| format!("{} of {}", sum(&mut seen.before.values()), seen.before.len()))
                .collect(),
        ),
        (
            "calls after the lock",
            seen.iter()
                .map(|(_, seen)| sum(&mut seen.used.values()))
                .collect(),
        ),
        (
            "lines of the list",
            seen.iter().map(|(lines, _)| lines.to_string()).collect(),
        ),
        (
            "used",
            seen.iter().map(|(_, seen)| seen.used.len().to_string()).collect(),
        ),
        (
            "never used, with a reason",
            DAEMONS
                .iter()
                .map(|daemon| reasoned(daemon, true).to_string())
                .collect(),
        ),
        (
            "never used, without",
            DAEMONS
                .iter()
                .map(|daemon| reasoned(daemon, false).to_string())
                .collect(),
        ),
        (
            "calls on no line",
            seen.iter()
                .map(|(_, seen)| sum(&mut seen.lacking.values()))
                .collect(),
        ),
    ];
    let mut table = "| | broker | worker |\n|---|--:|--:|\n".to_owned();
    for (what, cells) in rows {
        table.push_str(&format!("| {what} | {} |\n", cells.join(" | ")));
    }
    table
}

/// `1,309,681`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn print_one(daemon: &str, seen: &Seen, is_whole: bool) -> usize {
    let list = list(daemon);
    let Seen {
        processes,
        unlocked,
        before,
        used,
        lacking,
    } = seen;
    println!("\n{daemon}: {processes} processes locked themselves in, {unlocked} ended before");
    let calls: u64 = before.values().sum();
    let only: Vec<&str> = before
        .keys()
        .map(String::as_str)
        .filter(|name| {
            !list
                .iter()
                .any(|rule| rule.name.strip_prefix("SYS_") == Some(name))
        })
        .collect();
    println!(
        "  before the lock: {calls} calls of {} kinds; on no list afterwards: {}",
        before.len(),
        only.join(" ")
    );
    let calls: u64 = used.values().sum();
    println!(
        "  after the lock: {calls} calls by {} of {} lines",
        used.len(),
        list.len()
    );
    let mut by_use: Vec<(u64, &Rule)> = used
        .iter()
        .filter_map(|(index, count)| Some((*count, *list.get(*index)?)))
        .collect();
    by_use.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    for (count, rule) in by_use {
        println!("  {count:>10}  {}", line(rule));
    }
    let unused: Vec<&Rule> = list
        .iter()
        .enumerate()
        .filter(|(index, _)| !used.contains_key(index))
        .map(|(_, rule)| *rule)
        .collect();
    println!("  never used, and why the line stays:");
    for rule in unused.iter().filter(|rule| rule.unseen.is_some()) {
        println!(
            "           0  {}: {}",
            line(rule),
            rule.unseen.unwrap_or_default()
        );
    }
    let without: Vec<&Rule> = unused.into_iter().filter(|rule| rule.unseen.is_none()).collect();
    if !without.is_empty() {
        let what = if is_whole {
            "NEVER USED, and no reason (take the line out, or write `unseen:`)"
        } else {
            "not used in this part of the tests"
        };
        println!("  {what}:");
        for rule in &without {
            println!("           0  {}", line(rule));
        }
    }
    if !lacking.is_empty() {
        println!("  MADE AFTER THE LOCK AND ON NO LINE (it would have been killed):");
        for (call, count) in lacking {
            println!("  {count:>10}  {call}");
        }
    }
    lacking.len() + if is_whole { without.len() } else { 0 } + usize::from(*processes == 0)
}

/// A line that has a reason to be never used, and is used by every daemon that has it.
fn needless(tally: &Tally) -> usize {
    let mut lines: Vec<(&'static Rule, bool)> = Vec::new();
    for daemon in DAEMONS {
        let Some(seen) = tally.of.get(daemon) else {
            continue;
        };
        for (index, rule) in list(daemon).into_iter().enumerate() {
            let is_used = seen.used.contains_key(&index);
            match lines.iter_mut().find(|(known, _)| line(known) == line(rule)) {
                Some((_, all)) => *all &= is_used,
                None => lines.push((rule, is_used)),
            }
        }
    }
    let found = lines
        .iter()
        .filter(|(rule, is_used)| *is_used && rule.unseen.is_some() && !BY_CHANCE.contains(&rule.name));
    let found: Vec<_> = found.collect();
    if !found.is_empty() {
        println!("\nUSED, though the line says that it is never seen (take its `unseen:` out):");
        for (rule, _) in &found {
            println!("  {}", line(rule));
        }
    }
    found.len()
}

fn line(rule: &Rule) -> String {
    let name = rule.name.strip_prefix("SYS_").unwrap_or(rule.name);
    if rule.when.is_empty() {
        format!("{name}  ({})", rule.reason)
    } else {
        format!("{name} {:?}  ({})", rule.when, rule.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_the_table_has_a_cell_for_each_daemon() {
        for (number, written) in [(7, "7"), (130, "130"), (1_300, "1,300"), (1_309_681, "1,309,681")] {
            assert_eq!(grouped(number), written);
        }
        let mut tally = Tally::default();
        for daemon in DAEMONS {
            tally
                .of
                .entry(daemon)
                .or_default()
                .before
                .insert("read".to_owned(), 1_300);
        }
        let table = table(&tally);
        assert!(
            table.contains("| calls before the lock, of so many kinds | 1,300 of 1 | 1,300 of 1 |"),
            "{table}"
        );
        assert!(
            table.lines().all(|line| line.matches('|').count() == 4),
            "{table}"
        );
    }
}
