//! Gives up every capability, in all five sets, and the way back to any of them.

use caps::CapSet;
use caps::errors::CapsError;
use nix::sys::prctl;

/// Empties what the process could get by executing something. Needs CAP_SETPCAP, so it comes before the user is changed.
///
/// An ordinary user can't, and need not: a bounding set is what an exec could give, and exec gives nothing under
/// no_new_privs (capabilities(7)) and is not on the filter's list. So the result is read back, not asked for here.
pub(crate) fn empty_bounding_set() {
    let _read_back_later = caps::clear(None, CapSet::Bounding);
}

/// Empties the sets that act. Lowering needs no right, but under systemd they are empty already and capset(2) is filtered.
pub(crate) fn empty_acting_sets() -> Result<(), CapsError> {
    for set in [
        CapSet::Ambient,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Permitted,
    ] {
        if !caps::read(None, set)?.is_empty() {
            caps::clear(None, set)?;
        }
    }
    Ok(())
}

/// No exec can give a right any more, and seccomp and landlock may be used without CAP_SYS_ADMIN.
pub(crate) fn forbid_new() -> nix::Result<()> {
    prctl::set_no_new_privs()
}
