//! Roles, what they inherit, and the set of them that one caller holds.

use std::collections::HashMap;

use dbal_shared::principal::Principal;

/// The role that everybody has, proof or not.
pub const PUBLIC: &str = "public";
/// The daemon's own tasks. No proof makes anybody one of them.
pub const SYSTEM: &str = "system";

/// Roles of policies that name none, each including those before it.
const LEVELS: [&str; 6] = [PUBLIC, "user", "moderator", "admin", "god", "supergod"];

/// Index of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleId(usize);

/// All roles of a policy.
#[derive(Clone, Debug)]
pub struct Roles {
    roles: Vec<Role>,
    by_name: HashMap<String, RoleId>,
}

#[derive(Clone, Debug)]
struct Role {
    name: String,
    level: u32,
    /// Itself and all that it inherits, sorted.
    includes: Vec<RoleId>,
}

/// One role as a policy declares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) level: Option<u32>,
    pub(crate) inherits: Vec<String>,
}

/// A role inherits itself in the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cycle(pub(crate) String);

/// The levels, for policies that name no roles.
pub(crate) fn levels() -> Vec<Declared> {
    let inherited = std::iter::once(None).chain(LEVELS.iter().map(Some));
    LEVELS
        .iter()
        .zip(inherited)
        .map(|(name, below)| Declared {
            name: (*name).to_owned(),
            level: None,
            inherits: below.into_iter().map(|below| (*below).to_owned()).collect(),
        })
        .collect()
}

impl Roles {
    /// Roles as declared, those that they inherit, and `public`.
    pub(crate) fn new(declared: &[Declared]) -> Result<Self, Cycle> {
        let mut names: Vec<&str> = vec![PUBLIC];
        for role in declared {
            names.push(&role.name);
            names.extend(role.inherits.iter().map(String::as_str));
        }
        let mut by_name = HashMap::new();
        let mut roles: Vec<Role> = Vec::new();
        for name in names {
            let next = RoleId(roles.len());
            if *by_name.entry(name.to_owned()).or_insert(next) == next {
                roles.push(Role {
                    name: name.to_owned(),
                    level: 0,
                    includes: Vec::new(),
                });
            }
        }
        let mut inherits: Vec<Vec<RoleId>> = vec![Vec::new(); roles.len()];
        for role in declared {
            let ids = role.inherits.iter().filter_map(|name| by_name.get(name).copied());
            if let Some(RoleId(id)) = by_name.get(&role.name)
                && let Some(list) = inherits.get_mut(*id)
            {
                list.extend(ids);
            }
        }
        for (id, role) in roles.iter_mut().enumerate() {
            role.includes = included(RoleId(id), &inherits).ok_or_else(|| Cycle(role.name.clone()))?;
        }
        let mut all = Self { roles, by_name };
        all.settle_levels(declared, &inherits);
        Ok(all)
    }

    /// No role at all: nobody gets anything.
    pub(crate) fn none() -> Self {
        Self {
            roles: Vec::new(),
            by_name: HashMap::new(),
        }
    }

    /// The role of this name.
    pub fn by_name(&self, name: &str) -> Option<RoleId> {
        self.by_name.get(name).copied()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| role.name.as_str())
    }

    /// What the caller holds. Roles that the policy doesn't know give nothing.
    pub fn held(&self, principal: &Principal) -> RoleSet {
        let named = principal
            .roles
            .iter()
            .map(String::as_str)
            .filter(|name| *name != SYSTEM);
        let mut held: Vec<RoleId> = named
            .chain([PUBLIC])
            .filter_map(|name| self.by_name(name))
            .filter_map(|RoleId(id)| self.roles.get(id))
            .flat_map(|role| role.includes.iter().copied())
            .collect();
        held.sort_unstable();
        held.dedup();
        RoleSet(held.into())
    }

    /// All roles, in the policy's order, `public` first.
    pub fn ids(&self) -> impl Iterator<Item = RoleId> + use<> {
        (0..self.roles.len()).map(RoleId)
    }

    /// Its name.
    pub fn name(&self, id: RoleId) -> &str {
        self.role(id).map_or("?", |role| role.name.as_str())
    }

    /// Its level.
    pub fn level(&self, id: RoleId) -> u32 {
        self.role(id).map_or(0, |role| role.level)
    }

    /// Itself and all that it inherits, sorted. Without `public`, which everybody has, unless it is inherited by name.
    pub fn includes(&self, id: RoleId) -> &[RoleId] {
        self.role(id).map_or(&[], |role| role.includes.as_slice())
    }

    fn role(&self, id: RoleId) -> Option<&Role> {
        self.roles.get(id.0)
    }

    /// Undeclared levels: `public` is 0, any other is one above the highest that it inherits.
    fn settle_levels(&mut self, declared: &[Declared], inherits: &[Vec<RoleId>]) {
        let mut order: Vec<RoleId> = (0..self.roles.len()).map(RoleId).collect();
        // An inherited role includes strictly fewer, so it comes first.
        order.sort_by_key(|id| self.role(*id).map_or(0, |role| role.includes.len()));
        for id in order {
            let Some(role) = self.role(id) else { continue };
            let said = declared
                .iter()
                .find(|said| said.name == role.name)
                .and_then(|said| said.level);
            let below = inherits
                .get(id.0)
                .into_iter()
                .flatten()
                .filter_map(|id| self.role(*id));
            let derived = below.map(|role| role.level.saturating_add(1)).max();
            let level = said.or(derived).unwrap_or(u32::from(role.name != PUBLIC));
            if let Some(role) = self.roles.get_mut(id.0) {
                role.level = level;
            }
        }
    }
}

/// The role itself and all that it inherits, or nothing if it is among what it inherits.
fn included(role: RoleId, inherits: &[Vec<RoleId>]) -> Option<Vec<RoleId>> {
    let below = |id: RoleId| inherits.get(id.0).into_iter().flatten().copied();
    let mut found = vec![role];
    let mut left: Vec<RoleId> = below(role).collect();
    while let Some(next) = left.pop() {
        if next == role {
            return None;
        }
        if !found.contains(&next) {
            found.push(next);
            left.extend(below(next));
        }
    }
    found.sort_unstable();
    Some(found)
}

/// Roles that a caller holds, inherited ones included; sorted, without duplicates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoleSet(Box<[RoleId]>);

impl RoleSet {
    /// Whether it holds any of these.
    pub fn holds_any(&self, roles: &[RoleId]) -> bool {
        roles.iter().any(|role| self.0.binary_search(role).is_ok())
    }

    /// The roles.
    pub fn iter(&self) -> impl Iterator<Item = RoleId> {
        self.0.iter().copied()
    }

    /// Their names.
    pub(crate) fn names<'a>(&'a self, roles: &'a Roles) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter_map(|id| roles.role(id))
            .map(|role| role.name.as_str())
    }

    /// Name and level of the role of the highest level; of several, the first declared.
    pub(crate) fn highest<'a>(&self, roles: &'a Roles) -> Option<(&'a str, u32)> {
        self.iter()
            .filter_map(|id| roles.role(id))
            // `max_by_key` would give the last of equals.
            .reduce(|best, role| if role.level > best.level { role } else { best })
            .map(|role| (role.name.as_str(), role.level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, inherits: &[&str]) -> Declared {
        Declared {
            name: name.to_owned(),
            level: None,
            inherits: inherits.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn held(roles: &Roles, names: &[&str]) -> RoleSet {
        let roles_of = names.iter().map(|name| (*name).to_owned()).collect();
        roles.held(&Principal {
            roles: roles_of,
            ..Principal::default()
        })
    }

    #[test]
    fn inheritance_reaches_all_the_way_down() {
        let roles = Roles::new(&[
            declared("admin", &["moderator"]),
            declared("moderator", &["user"]),
        ])
        .unwrap();
        let admin = held(&roles, &["admin"]);
        let mut names: Vec<&str> = admin.names(&roles).collect();
        names.sort_unstable();
        assert_eq!(names, ["admin", "moderator", "public", "user"]);
        assert_eq!(admin.highest(&roles), Some(("admin", 3)));
        assert!(!held(&roles, &["user"]).holds_any(&[roles.by_name("moderator").unwrap()]));
    }

    #[test]
    fn levels_are_a_chain_from_public_to_supergod() {
        let roles = Roles::new(&levels()).unwrap();
        assert_eq!(held(&roles, &["supergod"]).highest(&roles), Some(("supergod", 5)));
        assert_eq!(held(&roles, &["god"]).names(&roles).count(), 5);
        assert_eq!(held(&roles, &[]).highest(&roles), Some(("public", 0)));
    }

    #[test]
    fn a_cycle_is_refused() {
        let cycle = Roles::new(&[
            declared("a", &["b"]),
            declared("b", &["c"]),
            declared("c", &["a"]),
        ]);
        assert_eq!(cycle.unwrap_err(), Cycle("a".to_owned()));
        assert!(Roles::new(&[declared("a", &["a"])]).is_err());
    }

    #[test]
    fn unknown_roles_and_the_system_give_nothing() {
        let roles = Roles::new(&[declared("user", &[]), declared(SYSTEM, &["user"])]).unwrap();
        assert_eq!(
            held(&roles, &["system", "root"])
                .names(&roles)
                .collect::<Vec<_>>(),
            ["public"]
        );
    }
}
