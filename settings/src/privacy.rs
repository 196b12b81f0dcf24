//! Whether a file with secrets is for one reader only.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The file's mode if others than the one who may read it can. Its group may read it where root owns it: then it was root who
/// chose the group. That is how Kubernetes hands out secrets, and PostgreSQL's rule for its key (libpq-ssl, `ssl_key_file`).
pub fn mode_if_others_may_read(about: &Metadata) -> Option<u32> {
    too_open(about.uid(), about.mode() & 0o777)
}

fn too_open(owner: u32, mode: u32) -> Option<u32> {
    let forbidden = if owner == 0 { 0o037 } else { 0o077 };
    (mode & forbidden != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_read_a_secret_only_if_root_gave_it_to_that_group() {
        for mode in [0o400, 0o600] {
            assert_eq!((too_open(0, mode), too_open(990, mode)), (None, None), "{mode:o}");
        }
        for mode in [0o440, 0o640] {
            assert_eq!(
                (too_open(0, mode), too_open(990, mode)),
                (None, Some(mode)),
                "{mode:o}"
            );
        }
        for mode in [0o604, 0o644, 0o660, 0o620, 0o610, 0o444, 0o601] {
            assert_eq!(
                (too_open(0, mode), too_open(990, mode)),
                (Some(mode), Some(mode)),
                "{mode:o}"
            );
        }
    }
}
