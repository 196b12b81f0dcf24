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
}

/// What becomes of a call that a line matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is carried out.
    Allow,
    /// It is not carried out and fails with this error.
    Fail(i32),
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

/// ioctl(2)'s request is an `unsigned long` in glibc, of which the kernel looks at the lower half, and an `int` in musl.
pub(super) const FIONBIO: i32 = 0x5421;

/// A line that allows: `permit!(SYS_read, "reason")`, or with checks between the two.
macro_rules! permit {
    ($call:ident, $reason:literal) => {
        $crate::filters::rule::permit!($call, [], $reason)
    };
    ($call:ident, [$($check:expr),*], $reason:literal) => {
        $crate::filters::Rule {
            name: stringify!($call),
            number: libc::$call,
            when: &[$($check),*],
            verdict: $crate::filters::Verdict::Allow,
            reason: $reason,
        }
    };
}

/// A line that makes a call fail: `refuse!(SYS_clone3, ENOSYS, "reason")`.
macro_rules! refuse {
    ($call:ident, $errno:ident, $reason:literal) => {
        $crate::filters::rule::refuse!($call, [], $errno, $reason)
    };
    ($call:ident, [$($check:expr),*], $errno:ident, $reason:literal) => {
        $crate::filters::Rule {
            name: stringify!($call),
            number: libc::$call,
            when: &[$($check),*],
            verdict: $crate::filters::Verdict::Fail(libc::$errno),
            reason: $reason,
        }
    };
}

pub(crate) use {permit, refuse};
