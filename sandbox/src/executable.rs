//! Memory is either written or executed (PR_SET_MDWE, Linux 6.3): the kernel's own rule beside the filter's, which looks at the same
//! calls. From the first line of `main` on, and for good: it can't be taken back.
#![expect(
    unsafe_code,
    reason = "prctl(2) has no safe wrapper for it; the arguments are numbers"
)]

use crate::layers::State;

/// Asks for it. Whether it holds is read back.
pub(crate) fn forbid_gain() {
    let bits = libc::c_ulong::from(libc::PR_MDWE_REFUSE_EXEC_GAIN);
    // SAFETY: no argument is an address, and what it changes (later mmap and mprotect calls fail) is no memory of ours.
    let _read_back_later = unsafe { libc::prctl(libc::PR_SET_MDWE, bits, 0_u64, 0_u64, 0_u64) };
}

/// Read back.
pub(crate) fn gain_is_forbidden() -> State {
    // SAFETY: no argument is an address; the answer is a number.
    let bits = unsafe { libc::prctl(libc::PR_GET_MDWE, 0_u64, 0_u64, 0_u64, 0_u64) };
    let wanted = libc::PR_MDWE_REFUSE_EXEC_GAIN.cast_signed();
    if bits >= 0 && bits & wanted == wanted {
        State::InForce
    } else {
        State::Missing(
            "the kernel has no PR_SET_MDWE (Linux 6.3); the filter refuses executable memory alone"
                .to_owned(),
        )
    }
}
