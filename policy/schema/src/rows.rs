//! Whole rows: what a create or an update says, and all that is wrong with it at once.

use dbal_shared::fault::Fault;
use dbal_shared::ids::ColumnId;
use dbal_shared::json::Json;
use dbal_shared::plan::Assignment;

use crate::column::Column;
use crate::column_set::ColumnSet;
use crate::entity::Entity;

/// What a row of values is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// A new row.
    Create,
    /// New values of an existing row.
    Update,
}

impl Entity {
    /// The values of a JSON object, in its order, or everything that is wrong with them. Fields outside `visible` are
    /// answered like fields that don't exist. On create an explicit null of an optional field is the same as none.
    /// Which columns must be there is not asked here, since presets come later: [`Entity::faults_of_create`].
    pub fn values_from_json(
        &self,
        json: &Json,
        visible: &ColumnSet,
        mode: Write,
    ) -> Result<Vec<Assignment>, Vec<(String, Fault)>> {
        let Json::Object(members) = json else {
            let expected = "an object of fields and values".to_owned();
            return Err(vec![("data".to_owned(), Fault::WrongType { expected })]);
        };
        let mut values = Vec::with_capacity(members.len());
        let mut faults = Vec::new();
        for (name, json) in members {
            match self.value_of_member(name, json, visible, mode) {
                Ok(Some(assignment)) => values.push(assignment),
                Ok(None) => {}
                Err(fault) => faults.push((name.clone(), fault)),
            }
        }
        if faults.is_empty() {
            Ok(values)
        } else {
            Err(faults)
        }
    }

    /// What is wrong with a new row, after presets are put in and before generated columns and defaults are.
    pub fn faults_of_create(&self, values: &[Assignment]) -> Vec<(ColumnId, Fault)> {
        let (given, mut faults) = self.faults_of_values(values, |_| None);
        let missing = self.missing_on_create(&given);
        faults.extend(missing.iter().map(|column| (column, Fault::Required)));
        faults
    }

    /// What is wrong with the new values of an existing row, after presets are put in.
    pub fn faults_of_update(&self, values: &[Assignment]) -> Vec<(ColumnId, Fault)> {
        let (_, faults) = self.faults_of_values(values, fault_of_changing);
        faults
    }

    /// Columns that a new row must name and that are not in `given`.
    pub fn missing_on_create(&self, given: &ColumnSet) -> ColumnSet {
        self.columns
            .iter()
            .filter(|column| column.is_required && column.generated.is_none() && column.default.is_none())
            .map(|column| column.id)
            .filter(|column| !given.contains(*column))
            .collect()
    }

    fn value_of_member(
        &self,
        name: &str,
        json: &Json,
        visible: &ColumnSet,
        mode: Write,
    ) -> Result<Option<Assignment>, Fault> {
        let column = self
            .column_by_name(name)
            .filter(|column| visible.contains(column.id))
            .ok_or(Fault::Unknown)?;
        match mode {
            Write::Create if matches!(json, Json::Null) && !column.is_required => return Ok(None),
            Write::Create => {}
            Write::Update => {
                if let Some(fault) = fault_of_changing(column) {
                    return Err(fault);
                }
            }
        }
        let value = column.value_from_json(json)?;
        Ok(Some(Assignment {
            column: column.id,
            value,
        }))
    }

    /// The columns that are given, and what is wrong with them. A column that is given twice is a fault: the database
    /// would take either.
    fn faults_of_values(
        &self,
        values: &[Assignment],
        first: impl Fn(&Column) -> Option<Fault>,
    ) -> (ColumnSet, Vec<(ColumnId, Fault)>) {
        let mut given = ColumnSet::new();
        let mut faults = Vec::new();
        for Assignment { column: id, value } in values {
            let fault = match self.column(*id) {
                None => Some(Fault::Unknown),
                Some(_) if given.contains(*id) => Some(Fault::WrongType {
                    expected: "given once".to_owned(),
                }),
                Some(column) => first(column).or_else(|| column.faults_of(value)),
            };
            given.insert(*id);
            faults.extend(fault.map(|fault| (*id, fault)));
        }
        (given, faults)
    }
}

fn fault_of_changing(column: &Column) -> Option<Fault> {
    column.is_immutable.then_some(Fault::Immutable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::entity;
    use dbal_shared::value::Value;

    const NOTE: &str = "entity: Note\nfields:\n  id: {type: uuid, generated: true}\n  \
        owner: {type: integer, required: true}\n  title: {type: string, required: true, max_length: 3}\n  \
        body: {type: text, nullable: true}\n  rank: {type: integer, required: true, default: 1, max: 9}\n  \
        once: {type: string, optional: true, immutable: true}\n  hidden: {type: string, optional: true}\n";

    /// Field names and what belongs to them.
    type Named<T> = Vec<(String, T)>;

    fn read(mode: Write, text: &str) -> Result<Named<Value>, Named<String>> {
        let note = entity(NOTE);
        let mut visible = note.all_columns();
        visible.remove(note.column_by_name("hidden").unwrap().id);
        let json: Json = serde_json::from_str(text).unwrap();
        let named = |id| note.column(id).unwrap().name.clone();
        note.values_from_json(&json, &visible, mode)
            .map(|values| {
                values
                    .into_iter()
                    .map(|one| (named(one.column), one.value))
                    .collect()
            })
            .map_err(|faults| {
                faults
                    .into_iter()
                    .map(|(name, fault)| (name, fault.to_string()))
                    .collect()
            })
    }

    fn pairs<T: Clone>(wanted: &[(&str, T)]) -> Named<T> {
        wanted
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let text = r#"{"owner": "x", "title": "long", "rank": 10, "hidden": "h", "nothing": 1, "body": 1}"#;
        let owner = "must be an integer from -2147483648 to 2147483647";
        let wanted = [
            ("owner", owner),
            ("title", "must have at most 3 characters"),
            ("rank", "must be at most 9"),
            ("hidden", "unknown field"),
            ("nothing", "unknown field"),
            ("body", "must be a string"),
        ];
        let wanted = wanted.map(|(name, fault)| (name, fault.to_owned()));
        assert_eq!(read(Write::Create, text), Err(pairs(&wanted)));
        assert!(read(Write::Create, "[]").is_err());
    }

    #[test]
    fn a_null_on_create_is_no_value_and_on_update_clears_what_can_be_empty() {
        let text = r#"{"body": null, "once": null, "title": "t"}"#;
        assert_eq!(
            read(Write::Create, text),
            Ok(pairs(&[("title", Value::Text("t".to_owned()))]))
        );
        assert_eq!(
            read(Write::Update, r#"{"body": null}"#),
            Ok(pairs(&[("body", Value::Null)]))
        );
        for (mode, text, field) in [
            (Write::Create, r#"{"title": null}"#, "title"),
            (Write::Update, r#"{"title": null}"#, "title"),
            (Write::Update, r#"{"rank": null}"#, "rank"),
        ] {
            assert_eq!(read(mode, text), Err(pairs(&[(field, "is required".to_owned())])));
        }
    }

    #[test]
    fn what_is_immutable_and_the_key_stay() {
        let id = r#"{"id": "0190a6e0-0000-7000-8000-000000000000", "once": "x"}"#;
        assert_eq!(read(Write::Create, id).unwrap().len(), 2);
        let fault = "can't be changed".to_owned();
        assert_eq!(
            read(Write::Update, id),
            Err(pairs(&[("id", fault.clone()), ("once", fault)]))
        );
    }

    #[test]
    fn the_worker_sees_what_is_missing_doubled_or_unknown() {
        let note = entity(NOTE);
        let id = |name: &str| note.column_by_name(name).unwrap().id;
        let set = |column, value| Assignment { column, value };
        let faults = note.faults_of_create(&[set(id("title"), Value::Text("t".to_owned()))]);
        assert_eq!(faults, [(id("owner"), Fault::Required)]);
        assert_eq!(
            note.missing_on_create(&ColumnSet::new()),
            [id("owner"), id("title")].into_iter().collect()
        );

        let stranger = ColumnId(99);
        let faults = note.faults_of_update(&[
            set(id("rank"), Value::Int(1)),
            set(id("rank"), Value::Int(2)),
            set(stranger, Value::Null),
            set(id("once"), Value::Null),
            set(id("title"), Value::Int(1)),
            set(id("owner"), Value::Null),
        ]);
        let columns: Vec<_> = faults.iter().map(|(column, _)| *column).collect();
        assert_eq!(
            columns,
            [id("rank"), stranger, id("once"), id("title"), id("owner")]
        );
        assert_eq!(note.faults_of_update(&[set(id("rank"), Value::Int(9))]), []);
    }
}
