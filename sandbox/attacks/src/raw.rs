//! System calls as an attacker makes them: by number, past the C library and Rust's wrappers.
#![expect(unsafe_code, reason = "the calls that must be refused have no safe wrapper")]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::c_long;

/// An error number, as in errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// An argument: a number, or memory that lives until the call returns.
pub(crate) enum Argument<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Buffer(&'a mut [u8]),
}

impl From<i32> for Argument<'_> {
    fn from(number: i32) -> Self {
        Argument::Number(i64::from(number))
    }
}

impl From<i64> for Argument<'_> {
    fn from(number: i64) -> Self {
        Argument::Number(number)
    }
}

impl<'a> From<&'a [u8]> for Argument<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Argument::Bytes(bytes)
    }
}

impl<'a> From<&'a CString> for Argument<'a> {
    fn from(text: &'a CString) -> Self {
        Argument::Bytes(text.as_bytes_with_nul())
    }
}

impl<'a> From<&'a mut [u8]> for Argument<'a> {
    fn from(buffer: &'a mut [u8]) -> Self {
        Argument::Buffer(buffer)
    }
}

/// Makes the call `number` with up to six arguments; the missing ones are 0.
pub(crate) fn call<const N: usize>(number: c_long, arguments: [Argument<'_>; N]) -> Result<c_long, Errno> {
    let mut words = [0; 6];
    for (word, argument) in words.iter_mut().zip(arguments) {
        *word = match argument {
            Argument::Number(number) => number,
            Argument::Bytes(bytes) => address(bytes.as_ptr().expose_provenance()),
            Argument::Buffer(buffer) => address(buffer.as_mut_ptr().expose_provenance()),
        };
    }
    let [first, second, third, fourth, fifth, sixth] = words;
    // SAFETY: addresses come only from slices that are borrowed until the call returned; lengths are the callers', who
    // pass those of the slices or less; those within a message lead to memory that lives as long as the message. Calls that would change this process's memory or threads behind Rust's back
    // (exec, fork, mmap) are made only where they must fail, by a process that ends right after.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    if result == -1 {
        // SAFETY: the address of this thread's errno is valid as long as the thread.
        Err(Errno(unsafe { *libc::__errno_location() }))
    } else {
        Ok(result)
    }
}

/// A call whose result doesn't matter.
pub(crate) fn attempt<const N: usize>(number: c_long, arguments: [Argument<'_>; N]) -> Result<(), Errno> {
    call(number, arguments).map(drop)
}

/// getpid(2) as a 32-bit program would ask: the numbers of its calls are others, and a filter that looked at numbers alone would
/// take one for another.
#[cfg(target_arch = "x86_64")]
pub(crate) fn own_pid_as_32_bit() -> Result<(), Errno> {
    const GETPID: i32 = 20;
    let answer: i32;
    // SAFETY: the call takes no argument, writes no memory and returns a number; registers it may change are named.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("eax") GETPID => answer,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            options(nostack),
        );
    }
    if answer < 0 {
        Err(Errno(answer.saturating_neg()))
    } else {
        Ok(())
    }
}

/// A path as the kernel wants it. A NUL in it would be the test's own mistake, and ends it early.
pub(crate) fn path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn address(address: usize) -> i64 {
    i64::try_from(address).unwrap_or(0)
}
