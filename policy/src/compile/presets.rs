//! Forced values: `set:`.

use dbal_schema::yaml::{Content, Key, Node};
use dbal_schema::{Column, ColumnType, Entity, Location};
use dbal_shared::ids::ColumnId;
use dbal_shared::json::Json;
use dbal_shared::plan::Operation;

use super::Compiler;
use super::names::unknown_field;
use crate::claims::{self, ClaimType};
use crate::expression::Claim;
use crate::rule::{Operations, Preset, PresetValue};
use crate::slots::{Form, Slot};

impl Compiler<'_> {
    pub(super) fn presets(&mut self, set: &[(Key, Node)], entity: &Entity) -> Vec<(ColumnId, PresetValue)> {
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

    pub(super) fn preset(
        &mut self,
        node: &Node,
        entity: &Entity,
        column: &Column,
    ) -> Result<PresetValue, String> {
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
                match self.claims.kind(&claim)? {
                    Some(ClaimType::List(_)) => return Err(format!("`{text}` is a list, not a value")),
                    Some(kind @ ClaimType::One(_)) => {
                        if let Some(misfit) = claims::misfit(kind, column) {
                            return Err(misfit);
                        }
                    }
                    None => {}
                }
                let form = Form::Column(entity.id, column.id);
                let slot = Slot {
                    claim,
                    form,
                    is_list: false,
                };
                return Ok(PresetValue::Claim(self.slots.index(slot)));
            }
            Content::Float { value, text: _ } if column.kind == ColumnType::Float => Json::Float(*value),
            // As it is written: a decimal is exact, and a text of digits is that text.
            Content::Text(text) | Content::Float { value: _, text } => Json::Text(text.clone()),
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
    pub(super) fn warn_of_immutable_presets(
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
}
