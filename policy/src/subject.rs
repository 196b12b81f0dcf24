//! A caller as the policy sees it: roles with all that they inherit, and claims in the types of the columns they meet.

use std::sync::Arc;

use dbal_shared::ids::Digest;

use crate::access::Access;
use crate::limits::RoleLimits;
use crate::slots::Filled;

/// Made once per session by [`crate::Policy::subject`]; good only with the policy that made it, since it speaks of that
/// policy's rules by index.
#[derive(Clone, Debug)]
pub struct Subject {
    pub(crate) policy: Digest,
    pub(crate) access: Arc<Access>,
    pub(crate) filled: Filled,
    pub(crate) limits: RoleLimits,
}
