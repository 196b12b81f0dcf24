//! Rules file and inline acls → compiled rules. All names are resolved and all expressions typed here, or nothing loads.

use std::collections::HashSet;
use std::sync::Arc;

use dbal_schema::mapping::At;
use dbal_schema::report::Report;
use dbal_schema::yaml::{Content, Key, Node};
use dbal_schema::{Column, ColumnSet, Entity, Location, Schema, suggestion};
use dbal_shared::ids::ColumnId;
use dbal_shared::json::Json;
use dbal_shared::plan::Operation;
use dbal_shared::predicate::Predicate;

use crate::expression::Claim;
use crate::inline_acl;
use crate::limits::PartialLimits;
use crate::pinpoint::Text;
use crate::roles::{self, Cycle, Declared, RoleId, Roles, SYSTEM};
use crate::row_filter;
use crate::rule::{Operations, Preset, PresetValue, Restriction, Rule, implies};
use crate::rules_file::{DeclaredLimits, DeclaredRestriction, DeclaredRole, DeclaredRule, RulesFile};
use crate::slots::{Form, Slot, SlotId, Slots};
use crate::template::Template;

/// Everything that `Policy` keeps.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) roles: Roles,
    pub(crate) slots: Slots,
    pub(crate) rules: Vec<Rule>,
    pub(crate) restrictions: Vec<Restriction>,
    pub(crate) limits: Vec<(RoleId, PartialLimits)>,
}

/// Compiles the file and the schema's inline acls; what is wrong with them is in the report.
pub(crate) fn compile<'a>(
    file: &'a RulesFile,
    text: &'a str,
    schema: &'a Schema,
    report: &'a mut Report,
) -> Compiled {
    let RulesFile {
        roles,
        rules,
        restrictions,
        limits,
    } = file;
    let roles = compile_roles(roles, schema, report);
    let mut compiler = Compiler {
        schema,
        text,
        roles,
        slots: Slots::default(),
        report,
    };
    let mut all: Vec<Rule> = Vec::new();
    let mut ids = HashSet::new();
    for (nth, rule) in rules.iter().enumerate() {
        all.extend(compiler.rule(nth, rule, &mut ids));
    }
    for entity in schema.entities() {
        all.extend(inline_acl::rules(entity, &mut compiler));
    }
    let mut walls = Vec::new();
    for (nth, restriction) in restrictions.iter().enumerate() {
        walls.extend(compiler.restriction(nth, restriction, &mut ids));
    }
    let limits = limits
        .iter()
        .filter_map(|limits| compiler.limits(limits))
        .collect();
    let Compiler { roles, slots, .. } = compiler;
    Compiled {
        roles,
        slots,
        rules: all,
        restrictions: walls,
        limits,
    }
}

/// The file's roles, or the levels where it names none; and roles that only inline acls know.
fn compile_roles(declared: &[DeclaredRole], schema: &Schema, report: &mut Report) -> Roles {
    let mut known: Vec<Declared> = declared
        .iter()
        .map(|role| Declared {
            name: role.name.value.clone(),
            level: role.level,
            inherits: role.inherits.iter().map(|name| name.value.clone()).collect(),
        })
        .collect();
    if known.is_empty() {
        known = roles::levels();
    }
    for entity in schema.entities() {
        inline_acl::add_unknown_roles(entity, &mut known, report);
    }
    Roles::new(&known).unwrap_or_else(|Cycle(name)| {
        if let Some(role) = declared.iter().find(|role| role.name.value == name) {
            report.problem(&role.name.at, format!("role `{name}` inherits itself in the end"));
        }
        Roles::none()
    })
}

/// What is known while rules are compiled, and what comes of it besides them.
pub(crate) struct Compiler<'a> {
    schema: &'a Schema,
    /// Text of the rules file, to point into.
    text: &'a str,
    pub(crate) roles: Roles,
    slots: Slots,
    pub(crate) report: &'a mut Report,
}

/// A rule, entity and roles resolved, the rest as written.
pub(crate) struct Draft<'a> {
    pub(crate) id: Arc<str>,
    pub(crate) at: &'a Location,
    pub(crate) entity: &'a Entity,
    pub(crate) roles: Vec<RoleId>,
    pub(crate) operations: Operations,
    pub(crate) rows: Option<Text<'a>>,
    pub(crate) check: Option<Text<'a>>,
    pub(crate) read: ColumnSet,
    pub(crate) write: ColumnSet,
    pub(crate) set: &'a [(Key, Node)],
    pub(crate) allows_unfiltered: bool,
}

impl<'a> Compiler<'a> {
    fn rule(&mut self, nth: usize, declared: &'a DeclaredRule, ids: &mut HashSet<String>) -> Vec<Rule> {
        let DeclaredRule {
            at,
            id,
            entities,
            roles,
            operations,
            rows,
            check,
            read,
            write,
            set,
            allows_unfiltered,
        } = declared;
        let id = self.id(id.as_ref(), "rule", nth, at, ids);
        let roles = self.role_ids(roles);
        let operations = self.operations(operations);
        let mut compiled = Vec::new();
        for entity in self.entities(entities) {
            let text = self.text;
            let placed = |At { at, value }: &'a At<String>| Text {
                at,
                written: value,
                file: Some(text),
            };
            let draft = Draft {
                id: Arc::clone(&id),
                at,
                entity,
                roles: roles.clone(),
                operations,
                rows: rows.as_ref().map(placed),
                check: check.as_ref().map(placed),
                read: self.fields(read.as_deref(), entity, entity.all_columns()),
                write: self.fields(write.as_deref(), entity, written_by_clients(entity)),
                set,
                allows_unfiltered: *allows_unfiltered,
            };
            compiled.extend(self.finish(draft));
        }
        compiled
    }

    /// The compiled rule, or problems.
    pub(crate) fn finish(&mut self, draft: Draft<'_>) -> Option<Rule> {
        let Draft {
            id,
            at,
            entity,
            roles,
            operations,
            rows,
            check,
            read,
            write,
            set,
            allows_unfiltered,
        } = draft;
        let rows = self.template(rows, entity);
        let check = check.map_or_else(|| rows.clone(), |check| self.template(Some(check), entity));
        let presets = self.presets(set, entity);
        let (rows, check) = (rows?, check?);
        let presets: Vec<Preset> = presets
            .into_iter()
            .map(|(column, value)| {
                let is_implied_by_rows = implies(&rows, column, &value);
                Preset {
                    column,
                    value,
                    is_implied_by_rows,
                }
            })
            .collect();
        self.warn_of_immutable_presets(at, entity, operations, &presets);
        let mut needs: Vec<SlotId> = presets
            .iter()
            .filter_map(|preset| match preset.value {
                PresetValue::Claim(slot) => Some(slot),
                PresetValue::Fixed(_) => None,
            })
            .collect();
        rows.slots(&mut needs);
        check.slots(&mut needs);
        needs.sort_unstable();
        needs.dedup();
        let read = read.difference(&never_exposed(entity));
        Some(Rule {
            id,
            entity: entity.id,
            roles,
            operations,
            rows,
            check,
            read,
            write,
            presets,
            allows_unfiltered,
            needs,
        })
    }

    fn restriction(
        &mut self,
        nth: usize,
        declared: &DeclaredRestriction,
        ids: &mut HashSet<String>,
    ) -> Vec<Restriction> {
        let DeclaredRestriction {
            at,
            id,
            entities,
            except,
            rows,
            unless_roles,
        } = declared;
        let id = self.id(id.as_ref(), "restrict", nth, at, ids);
        let except: Vec<_> = self
            .entities(except)
            .into_iter()
            .map(|entity| entity.id)
            .collect();
        let unless = self.role_ids(unless_roles);
        let mut walls = Vec::new();
        for entity in self.entities(entities) {
            if except.contains(&entity.id) {
                continue;
            }
            let text = Text {
                at: &rows.at,
                written: &rows.value,
                file: Some(self.text),
            };
            let Some(rows) = self.template(Some(text), entity) else {
                continue;
            };
            let mut needs = Vec::new();
            rows.slots(&mut needs);
            walls.push(Restriction {
                id: Arc::clone(&id),
                entity: entity.id,
                rows,
                unless: unless.clone(),
                needs,
            });
        }
        walls
    }

    fn limits(&mut self, declared: &DeclaredLimits) -> Option<(RoleId, PartialLimits)> {
        let DeclaredLimits {
            role,
            requests_per_minute,
            burst,
            max_complexity,
            max_rows,
        } = declared;
        let role = self.role_id(role)?;
        let limits = PartialLimits {
            requests_per_minute: *requests_per_minute,
            burst: *burst,
            max_complexity: *max_complexity,
            max_rows: *max_rows,
        };
        Some((role, limits))
    }

    /// The compiled expression; every row where there is none.
    fn template(&mut self, text: Option<Text<'_>>, entity: &Entity) -> Option<Template> {
        let Some(text) = text else {
            return Some(Template::Fixed(Predicate::True));
        };
        match row_filter::compile(text.written, entity, self.schema, &mut self.slots) {
            Ok(template) => Some(template),
            Err(mistake) => {
                let (at, message) = text.pinpoint(&mistake);
                self.report.problem(&at, message);
                None
            }
        }
    }

    fn presets(&mut self, set: &[(Key, Node)], entity: &Entity) -> Vec<(ColumnId, PresetValue)> {
        let mut presets = Vec::new();
        for (key, node) in set {
            let Some(column) = entity.column_by_name(&key.name) else {
                self.report.problem(&key.at, unknown_field(entity, &key.name));
                continue;
            };
            match self.preset(node, entity, column) {
                Ok(value) => presets.push((column.id, value)),
                Err(text) => self.report.problem(&node.at, text),
            }
        }
        presets
    }

    fn preset(&mut self, node: &Node, entity: &Entity, column: &Column) -> Result<PresetValue, String> {
        let json = match &node.content {
            Content::Text(text) if text.starts_with('$') => {
                let claim = text
                    .strip_prefix('$')
                    .and_then(|path| path.split_once('.'))
                    .and_then(|(scope, name)| Claim::of(scope, name))
                    .filter(|claim| *claim != Claim::Roles)
                    .ok_or_else(|| {
                        format!("`{text}` is unknown; there are $user.<claim> and $context.tenantId")
                    })?;
                let form = Form::Column(entity.id, column.id);
                return Ok(PresetValue::Claim(self.slots.index(Slot { claim, form })));
            }
            Content::Text(text) | Content::Float { text, .. } => Json::Text(text.clone()),
            Content::Int(value) => Json::Int(*value),
            Content::Bool(value) => Json::Bool(*value),
            Content::Null => Json::Null,
            Content::List(_) | Content::Map(_) => {
                return Err("a text, number, boolean or null should stand here".to_owned());
            }
        };
        let value = column
            .value_from_json(&json)
            .map_err(|fault| format!("`{}` {fault}", column.name))?;
        Ok(PresetValue::Fixed(value))
    }

    /// Such an update would always fail.
    fn warn_of_immutable_presets(
        &mut self,
        at: &Location,
        entity: &Entity,
        operations: Operations,
        presets: &[Preset],
    ) {
        if !operations.contains(Operation::Update) {
            return;
        }
        for preset in presets.iter().filter(|preset| !preset.is_implied_by_rows) {
            if let Some(column) = entity.column(preset.column).filter(|column| column.is_immutable) {
                let text = format!(
                    "`set` forces `{}` on updates, but it is immutable, so each would fail; split the rule, or say \
                     in `rows` that it has this value",
                    column.name
                );
                self.report.problem(at, text);
            }
        }
    }

    /// The columns of a field list: `*` stands for `all`, `-name` takes away, whatever the order. Without a list: `all`.
    fn fields(&mut self, list: Option<&[At<String>]>, entity: &Entity, all: ColumnSet) -> ColumnSet {
        let Some(list) = list else { return all };
        let mut given = ColumnSet::new();
        let mut taken = ColumnSet::new();
        for At { at, value } in list {
            let (name, set) = match value.strip_prefix('-') {
                Some(name) => (name, &mut taken),
                None => (value.as_str(), &mut given),
            };
            if name == "*" {
                *set = set.union(&all);
            } else if let Some(column) = entity.column_by_name(name) {
                set.insert(column.id);
            } else {
                self.report.problem(at, unknown_field(entity, name));
            }
        }
        if let Some(At { at, .. }) = list.first().filter(|_| given.is_empty()) {
            self.report.warning(
                at,
                "this list only takes away, so it grants nothing; begin with \"*\"",
            );
        }
        given.difference(&taken)
    }

    fn id(
        &mut self,
        id: Option<&At<String>>,
        what: &str,
        nth: usize,
        at: &Location,
        ids: &mut HashSet<String>,
    ) -> Arc<str> {
        let (at, name) = match id {
            Some(id) => (&id.at, id.value.clone()),
            None => (at, format!("{what}[{nth}]")),
        };
        if !ids.insert(name.clone()) {
            self.report.problem(
                at,
                format!("the id `{name}` is taken; audit records must tell rules apart"),
            );
        }
        name.into()
    }

    /// The entities of these names; `*` means all.
    fn entities(&mut self, names: &[At<String>]) -> Vec<&'a Entity> {
        let mut entities = Vec::new();
        for At { at, value } in names {
            if value == "*" {
                return self.schema.entities().iter().collect();
            }
            let known = self.schema.by_name(value);
            if known.is_none() {
                let names = self.schema.entities().iter().map(|entity| entity.name.as_str());
                let hint = suggestion::hint(value, names);
                self.report.problem(at, format!("unknown entity `{value}`{hint}"));
            }
            entities.extend(known);
        }
        entities
    }

    fn role_ids(&mut self, names: &[At<String>]) -> Vec<RoleId> {
        names.iter().filter_map(|name| self.role_id(name)).collect()
    }

    fn role_id(&mut self, name: &At<String>) -> Option<RoleId> {
        let At { at, value } = name;
        if value == SYSTEM {
            self.report
                .warning(at, "nobody who comes over the network has the role `system`");
            return None;
        }
        let known = self.roles.by_name(value);
        if known.is_none() {
            let hint = suggestion::hint(value, self.roles.names());
            self.report
                .problem(at, format!("role `{value}` is not declared in `roles`{hint}"));
        }
        known
    }

    fn operations(&mut self, names: &[At<String>]) -> Operations {
        let mut operations = Operations::default();
        for At { at, value } in names {
            let known = Operation::ALL
                .into_iter()
                .find(|operation| operation.name() == value);
            match (value.as_str(), known) {
                ("*", _) => Operation::ALL
                    .into_iter()
                    .for_each(|operation| operations.insert(operation)),
                // Whoever may read any row by its key may list them: `list` alone is the narrower right.
                (_, Some(Operation::Read)) => {
                    operations.insert(Operation::Read);
                    operations.insert(Operation::List);
                }
                (_, Some(operation)) => operations.insert(operation),
                (_, None) => {
                    let names = Operation::ALL.into_iter().map(Operation::name);
                    let hint = suggestion::hint(value, names);
                    self.report
                        .problem(at, format!("unknown operation `{value}`{hint}"));
                }
            }
        }
        operations
    }
}

/// What `*` means in `write`: columns that the daemon fills and columns that are never shown must be named one by one.
pub(crate) fn written_by_clients(entity: &Entity) -> ColumnSet {
    let is_ours =
        |column: &&Column| column.generated.is_none() && !column.is_auto_update && !column.is_never_exposed;
    entity
        .columns
        .iter()
        .filter(is_ours)
        .map(|column| column.id)
        .collect()
}

fn never_exposed(entity: &Entity) -> ColumnSet {
    entity
        .columns
        .iter()
        .filter(|column| column.is_never_exposed)
        .map(|column| column.id)
        .collect()
}

fn unknown_field(entity: &Entity, name: &str) -> String {
    let names = entity.columns.iter().map(|column| column.name.as_str());
    format!(
        "`{}` has no field `{name}`{}",
        entity.name,
        suggestion::hint(name, names)
    )
}
