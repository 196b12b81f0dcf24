//! One line of a table.

/// A system call, when it is meant, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name in the C library's headers, `SYS_read`.
    pub name: &'static str,
    /// Its number on this architecture.
    pub number: i64,
    /// All of these must hold. Further lines of the same call are alternatives.
    pub when: &'static [Check],
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why the process needs it, or why it gets an error.
    pub reason: &'static str,
    /// Why the line stays although `cargo xtask seccomp-record` does not see it used, in one of its processes or in any.
    pub unseen: Option<&'static str>,
}

impl Rule {
    /// Whether a call of this line's number with these arguments is what the line means. `pid` is the process's own id.
    pub fn covers(&self, arguments: &[u64; 6], pid: u32) -> bool {
        self.when.iter().all(|check| check.holds(arguments, pid))
    }
}

/// What becomes of a call that a line matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is carried out.
    Allow,
    /// It is not carried out and fails with this error.
    Fail(i32),
    /// It ends the process.
    Kill,
}

/// A condition on one argument, counted from 0. Only the lower 32 bits are looked at: all of these are C `int`s, or
/// flags of which the kernel looks at no others.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// It has this value.
    Is(u8, i32),
    /// It has another value.
    IsNot(u8, i32),
    /// None of these bits is set.
    Without(u8, i32),
    /// It has this value, whether or not the second's bits are set too.
    IsBut(u8, i32, i32),
    /// It is the process's own id. Known only when the filter is made.
    IsOwnPid(u8),
    /// It is a null pointer. The only one that is looked at in full.
    IsNull(u8),
}

impl Check {
    fn holds(self, arguments: &[u64; 6], pid: u32) -> bool {
        let whole = |argument: u8| arguments.get(usize::from(argument)).copied().unwrap_or(0);
        let is = |argument: u8, value: u32| whole(argument) & 0xffff_ffff == u64::from(value);
        let bits = |argument: u8, mask: u32| whole(argument) & u64::from(mask);
        match self {
            Self::Is(argument, value) => is(argument, value.cast_unsigned()),
            Self::IsNot(argument, value) => !is(argument, value.cast_unsigned()),
            Self::Without(argument, mask) => bits(argument, mask.cast_unsigned()) == 0,
            Self::IsBut(argument, value, mask) => {
                bits(argument, !mask.cast_unsigned()) == u64::from(value.cast_unsigned())
            }
            Self::IsOwnPid(argument) => is(argument, pid),
            Self::IsNull(argument) => whole(argument) == 0,
        }
    }
}

/// ioctl(2)'s request is an `unsigned long` in glibc, of which the kernel looks at the lower half, and an `int` in musl.
pub(super) const FIONBIO: i32 = 0x5421;

/// A line that allows: `permit!(SYS_read, "reason")`, or with checks between the two.
macro_rules! permit {
    ($call:ident, $($rest:tt)*) => {
        $crate::filters::rule::line!($crate::filters::Verdict::Allow, $call, $($rest)*)
    };
}

/// A line that makes a call fail: `refuse!(SYS_clone3, ENOSYS, "reason")`.
macro_rules! refuse {
    ($call:ident, $errno:ident, $($rest:tt)*) => {
        $crate::filters::rule::line!($crate::filters::Verdict::Fail(libc::$errno), $call, $($rest)*)
    };
}

/// A line that kills: `kill!(SYS_execve, "reason")`, or with checks between the two.
macro_rules! kill {
    ($call:ident, $($rest:tt)*) => {
        $crate::filters::rule::line!($crate::filters::Verdict::Kill, $call, $($rest)*)
    };
}

/// What follows the call in any line: conditions, if there are, the reason, and why it is never seen, if it is not.
macro_rules! line {
    ($verdict:expr, $call:ident, $reason:literal) => {
        $crate::filters::rule::line!($verdict, $call, [], $reason, None)
    };
    ($verdict:expr, $call:ident, $reason:literal, unseen: $unseen:literal) => {
        $crate::filters::rule::line!($verdict, $call, [], $reason, Some($unseen))
    };
    ($verdict:expr, $call:ident, [$($check:expr),*], $reason:literal) => {
        $crate::filters::rule::line!($verdict, $call, [$($check),*], $reason, None)
    };
    ($verdict:expr, $call:ident, [$($check:expr),*], $reason:literal, unseen: $unseen:literal) => {
        $crate::filters::rule::line!($verdict, $call, [$($check),*], $reason, Some($unseen))
    };
    ($verdict:expr, $call:ident, [$($check:expr),*], $reason:literal, $unseen:expr) => {
        $crate::filters::Rule {
            name: stringify!($call),
            number: libc::$call,
            when: &[$($check),*],
            verdict: $verdict,
            reason: $reason,
            unseen: $unseen,
        }
    };
}

pub(crate) use {kill, line, permit, refuse};

#[cfg(test)]
mod tests {
    use super::Check::{Is, IsBut, IsNot, IsNull, IsOwnPid, Without};

    /// What the compiled filter does with it is seen by the processes that `dbal-attacks` starts.
    #[test]
    fn a_condition_looks_at_an_int_and_at_a_pointer_as_a_whole() {
        let high = 1_u64 << 32;
        let table = [
            (Is(1, 7), 7, true),
            (Is(1, 7), high | 7, true),
            (Is(1, 7), 8, false),
            (Is(1, -1), 0xffff_ffff, true),
            (IsNot(1, 7), high | 7, false),
            (IsNot(1, 7), 6, true),
            (Without(1, 4), high | 3, true),
            (Without(1, 4), 5, false),
            (IsBut(1, 1, 6), 7, true),
            (IsBut(1, 1, 6), 8, false),
            (IsOwnPid(1), 12, true),
            (IsOwnPid(1), 13, false),
            (IsNull(1), 0, true),
            (IsNull(1), high, false),
        ];
        for (check, argument, holds) in table {
            assert_eq!(
                check.holds(&[99, argument, 99, 99, 99, 99], 12),
                holds,
                "{check:?} {argument:#x}"
            );
        }
    }
}
