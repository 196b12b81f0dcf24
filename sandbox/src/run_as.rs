//! The user and group that a process becomes when it starts as root.

use std::io;

use nix::unistd::{
    Gid, Uid, User, getegid, geteuid, getgroups, setegid, seteuid, setgroups, setresgid, setresuid,
};

use crate::{SandboxError, exposure};

/// A user and a group by number; neither is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl RunAs {
    /// From a user's name (with its primary group), or from `uid:gid`.
    pub fn resolve(text: &str) -> Result<Self, SandboxError> {
        let run_as = match text.split_once(':') {
            Some((uid, gid)) => match (uid.parse(), gid.parse()) {
                (Ok(uid), Ok(gid)) => Self { uid, gid },
                (Err(_), _) | (_, Err(_)) => {
                    return Err(SandboxError::UnknownUser {
                        name: text.to_owned(),
                    });
                }
            },
            None => Self::by_name(text)?,
        };
        if run_as.uid == 0 || run_as.gid == 0 {
            return Err(SandboxError::RunAsRoot {
                name: text.to_owned(),
            });
        }
        Ok(run_as)
    }

    fn by_name(name: &str) -> Result<Self, SandboxError> {
        let user = User::from_name(name)
            .map_err(|source| SandboxError::UserDatabase {
                name: name.to_owned(),
                source,
            })?
            .ok_or_else(|| SandboxError::UnknownUser {
                name: name.to_owned(),
            })?;
        Ok(Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        })
    }

    /// Does `work` with this user's rights alone, where root starts the process, and is root again afterwards: what is opened or made
    /// in a folder that the user can write must not be reached with root's rights, since a link there could lead anywhere.
    ///
    /// While it lasts, the user can neither signal nor trace the process: its real and saved ids stay root's (ptrace(2), kill(2)).
    pub fn acting<T>(self, work: impl FnOnce() -> T) -> Result<T, SandboxError> {
        if !geteuid().is_root() {
            return Ok(work());
        }
        let (own_group, groups) = (getegid(), getgroups().map_err(refused("read its groups"))?);
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        setgroups(&[]).map_err(refused("drop the supplementary groups"))?;
        setegid(gid).map_err(refused("change the group"))?;
        seteuid(uid).map_err(refused("change the user"))?;
        let done = work();
        seteuid(Uid::from_raw(0)).map_err(refused("be root again"))?;
        setegid(own_group).map_err(refused("have its group again"))?;
        setgroups(&groups).map_err(refused("have its groups again"))?;
        // Each change of the user has made the process dumpable, as far as the system's default goes (prctl(2)).
        exposure::hide().map_err(refused("hide the process's memory"))?;
        Ok(done)
    }

    /// Becomes this user for good: real, effective and saved ids, and no supplementary group.
    pub(crate) fn become_it(self) -> Result<(), SandboxError> {
        if self.uid == 0 || self.gid == 0 {
            return Err(SandboxError::RunAsRoot {
                name: format!("{}:{}", self.uid, self.gid),
            });
        }
        let is = geteuid();
        if !is.is_root() {
            return if is.as_raw() == self.uid {
                Ok(())
            } else {
                Err(SandboxError::NotRoot {
                    wanted: self.uid,
                    is: is.as_raw(),
                })
            };
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        // Groups first: without CAP_SETGID, which goes with the user id, they could no longer be changed.
        setgroups(&[]).map_err(refused("drop the supplementary groups"))?;
        setresgid(gid, gid, gid).map_err(refused("change the group"))?;
        setresuid(uid, uid, uid).map_err(refused("change the user"))
    }
}

fn refused(step: &'static str) -> impl Fn(nix::Error) -> SandboxError {
    move |error| SandboxError::Privileges {
        step,
        source: io::Error::from(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_resolved_and_root_is_refused_in_either_form() {
        let nobody = RunAs::resolve("nobody").unwrap();
        assert_eq!(nobody.uid, 65534);
        assert_eq!(RunAs::resolve("998:997").unwrap(), RunAs { uid: 998, gid: 997 });
        for text in ["root", "0:997", "998:0"] {
            assert!(
                matches!(RunAs::resolve(text), Err(SandboxError::RunAsRoot { .. })),
                "{text}"
            );
        }
        for text in [
            "no-such-user",
            "",
            "998:",
            ":997",
            "-1:5",
            "998:997:1",
            "4294967296:1",
        ] {
            assert!(
                matches!(RunAs::resolve(text), Err(SandboxError::UnknownUser { .. })),
                "{text}"
            );
        }
    }
}
