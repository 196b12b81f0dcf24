//! Which paths a process may go on reading, so that it can read its files again: as little as replacing a file allows.

use std::path::{Path, PathBuf};

/// Files and folders that a process reads again when it reloads, and the files that it must not get back to.
#[derive(Clone, Debug, Default)]
pub struct Rereadable {
    /// Files. Tools replace a file by renaming another over it, so the folder is what a lasting right has to be on.
    pub files: Vec<PathBuf>,
    /// Folders, with all that lies beneath.
    pub folders: Vec<PathBuf>,
    /// Files (configuration, identity) whose neighbours must stay out of sight: no folder above one is ever allowed.
    /// Nor are they themselves, unless they stand in `files`.
    pub never_beside: Vec<PathBuf>,
}

impl Rereadable {
    /// What to allow ([`crate::Rules::read`]): the folder of each file, as it is named and where links lead to; or the
    /// file alone, where its folder holds what must not be read. Paths that aren't there are left out: what can't be
    /// read tells so when it is needed.
    pub fn paths(&self) -> Vec<PathBuf> {
        let Self {
            files,
            folders,
            never_beside,
        } = self;
        let secret: Vec<PathBuf> = never_beside.iter().flat_map(|path| places(path)).collect();
        let is_harmless = |folder: &Path| !secret.iter().any(|path| path.starts_with(folder));
        let mut paths = Vec::new();
        for place in files.iter().flat_map(|file| places(file)) {
            match place.parent() {
                Some(folder) if is_harmless(folder) => paths.push(folder.to_owned()),
                Some(_) | None => paths.push(place),
            }
        }
        let folders = folders.iter().filter_map(|folder| folder.canonicalize().ok());
        paths.extend(folders.filter(|folder| is_harmless(folder)));
        paths.retain(|path| path.exists());
        paths.sort();
        paths.dedup();
        paths
    }
}

/// A file's own place (its folder without links, and its name), and where it leads to if it is a link.
fn places(file: &Path) -> Vec<PathBuf> {
    let own = file.parent().zip(file.file_name()).and_then(|(folder, name)| {
        let folder = if folder == Path::new("") {
            Path::new(".")
        } else {
            folder
        };
        Some(folder.canonicalize().ok()?.join(name))
    });
    own.into_iter().chain(file.canonicalize().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let kept = tempfile::tempdir().unwrap();
        let root = kept.path().canonicalize().unwrap();
        for folder in ["etc/rules", "etc/entities", "archive", "live"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["etc/config", "etc/acl", "etc/rules/acl", "archive/one.crt"] {
            fs::write(root.join(file), "x").unwrap();
        }
        symlink(root.join("archive/one.crt"), root.join("live/crt")).unwrap();
        (kept, root)
    }

    fn paths(root: &Path, files: &[&str], folders: &[&str]) -> Vec<PathBuf> {
        let all = |names: &[&str]| names.iter().map(|name| root.join(name)).collect();
        let rereadable = Rereadable {
            files: all(files),
            folders: all(folders),
            never_beside: all(&["etc/config"]),
        };
        rereadable.paths()
    }

    #[test]
    fn a_file_in_a_folder_of_its_own_may_be_replaced() {
        let (_kept, root) = tree();
        assert_eq!(
            paths(&root, &["etc/rules/acl"], &["etc/entities"]),
            [root.join("etc/entities"), root.join("etc/rules")]
        );
    }

    #[test]
    fn a_file_beside_the_configuration_is_allowed_alone() {
        let (_kept, root) = tree();
        assert_eq!(paths(&root, &["etc/acl"], &[]), [root.join("etc/acl")]);
        // However the way to the folder is spelt.
        assert_eq!(paths(&root, &["etc/rules/../acl"], &[]), [root.join("etc/acl")]);
    }

    #[test]
    fn a_folder_above_the_configuration_is_never_allowed() {
        let (_kept, root) = tree();
        assert!(paths(&root, &[], &["etc", ""]).is_empty());
        fs::write(root.join("acl"), "x").unwrap();
        assert_eq!(paths(&root, &["acl"], &[]), [root.join("acl")]);
    }

    #[test]
    fn a_link_is_followed_to_where_renewed_files_will_lie() {
        let (_kept, root) = tree();
        assert_eq!(
            paths(&root, &["live/crt"], &[]),
            [root.join("archive"), root.join("live")]
        );
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let (_kept, root) = tree();
        assert!(paths(&root, &["no/such"], &["neither"]).is_empty());
    }
}
