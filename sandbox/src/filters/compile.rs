//! From tables to BPF: one filter that kills, and one for each error that a line gives.

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::ARCH;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads, sock_filter,
};

use super::rule::{Check, Rule, Verdict};
use crate::SandboxError;

/// linux/filter.h: load a word (from the beginning: the number of the call), jump if it is not below, return.
const LOAD: u16 = 0x20;
const UNLESS_BELOW: u16 = 0x35;
const RETURN: u16 = 0x06;
/// What x32 sets in the numbers of its calls, some of which are no others with that bit (asm/unistd.h, `__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;
/// Numbers from here on are no calls. A tracer leaves -1 where it has answered a call itself.
const NO_CALL: u32 = 0x8000_0000;

/// Kills what has a number of x32: on a list of what is forbidden, those would be a second door to the same calls.
const OTHER_NUMBERS: &[sock_filter] = &[
    instruction(LOAD, 0, 0, 0),
    instruction(UNLESS_BELOW, 0, 2, X32),
    instruction(UNLESS_BELOW, 1, 0, NO_CALL),
    instruction(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
];

/// How many instructions are left out where the condition holds, and where it does not.
const fn instruction(code: u16, holds: u8, does_not: u8, number: u32) -> sock_filter {
    sock_filter {
        code,
        jt: holds,
        jf: does_not,
        k: number,
    }
}

/// Compiled filters, in the order in which they are loaded.
pub struct Filters {
    programs: Vec<BpfProgram>,
}

impl Filters {
    /// Whatever no line names kills.
    ///
    /// The kernel runs every filter and takes the severest answer (seccomp(2)). So the filters of the errors let all else
    /// pass, and the one that kills lets pass what has an error.
    pub(crate) fn allow_only(rules: impl Iterator<Item = &'static Rule>) -> Result<Self, Error> {
        let rules: Vec<&Rule> = rules.collect();
        let mut programs = errors(&rules)?;
        let lives = rules.iter().filter(|rule| rule.verdict != Verdict::Kill);
        // Last: it is the first that would kill the loading of another.
        programs.push(program(lives, SeccompAction::KillProcess, SeccompAction::Allow)?);
        Ok(Self { programs })
    }

    /// Only what a line names kills, or gets an error.
    pub(crate) fn forbid(rules: &'static [Rule]) -> Result<Self, Error> {
        let rules: Vec<&Rule> = rules.iter().collect();
        let mut programs = errors(&rules)?;
        let dies = rules.iter().filter(|rule| rule.verdict == Verdict::Kill);
        let mut kills = OTHER_NUMBERS.to_vec();
        kills.extend(program(dies, SeccompAction::Allow, SeccompAction::KillProcess)?);
        programs.push(kills);
        Ok(Self { programs })
    }

    /// How many filters these are: each is loaded by a call of its own.
    pub fn count(&self) -> usize {
        self.programs.len()
    }

    /// Loads them for every thread, for good.
    pub(crate) fn apply(self) -> Result<(), SandboxError> {
        for program in &self.programs {
            apply_filter_all_threads(program).map_err(|source| SandboxError::Filter { source })?;
        }
        Ok(())
    }
}

/// One filter for each error.
fn errors(rules: &[&'static Rule]) -> Result<Vec<BpfProgram>, Error> {
    let errors: BTreeSet<i32> = rules
        .iter()
        .filter_map(|rule| match rule.verdict {
            Verdict::Fail(errno) => Some(errno),
            Verdict::Allow | Verdict::Kill => None,
        })
        .collect();
    let of = |errno: i32| {
        let failing = rules
            .iter()
            .filter(move |rule| rule.verdict == Verdict::Fail(errno));
        let answer = SeccompAction::Errno(errno.unsigned_abs());
        program(failing, SeccompAction::Allow, answer)
    };
    errors.into_iter().map(of).collect()
}

fn program<'a>(
    rules: impl Iterator<Item = &'a &'static Rule>,
    otherwise: SeccompAction,
    verdict: SeccompAction,
) -> Result<BpfProgram, Error> {
    // No conditions at all is what seccompiler reads as "always".
    let mut calls: BTreeMap<i64, Option<Vec<SeccompRule>>> = BTreeMap::new();
    for rule in rules {
        let alternatives = calls.entry(rule.number).or_insert_with(|| Some(Vec::new()));
        if rule.when.is_empty() {
            *alternatives = None;
        } else if let Some(alternatives) = alternatives {
            let checks = rule.when.iter().map(condition).collect::<Result<_, _>>()?;
            alternatives.push(SeccompRule::new(checks)?);
        }
    }
    let calls = calls
        .into_iter()
        .map(|(number, alternatives)| (number, alternatives.unwrap_or_default()))
        .collect();
    let target: TargetArch = ARCH.try_into()?;
    Ok(SeccompFilter::new(calls, otherwise, verdict, target)?.try_into()?)
}

fn condition(check: &Check) -> Result<SeccompCondition, seccompiler::BackendError> {
    let int = |value: i32| u64::from(value.cast_unsigned());
    let (argument, length, operator, value) = match *check {
        Check::Is(argument, value) => (argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, int(value)),
        Check::IsNot(argument, value) => (argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, int(value)),
        Check::Without(argument, bits) => (
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(int(bits)),
            0,
        ),
        Check::IsBut(argument, value, bits) => (
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(int(!bits)),
            int(value),
        ),
        Check::IsOwnPid(argument) => (
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            u64::from(std::process::id()),
        ),
        Check::IsNull(argument) => (argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0),
    };
    SeccompCondition::new(argument, length, operator, value)
}
