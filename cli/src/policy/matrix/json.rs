//! The matrix for programs. Keys are kept for good.

use dbal_review::matrix::{Matrix, OperationRights, Wall, Way};
use serde_json::{Value, json};

pub(super) fn render(matrix: &Matrix) -> String {
    let Matrix {
        hash,
        roles,
        entities,
    } = matrix;
    let mut cells = Vec::new();
    for entity in entities {
        for rights in &entity.roles {
            for cell in &rights.operations {
                let OperationRights {
                    operation,
                    ways,
                    walls,
                } = cell;
                cells.push(json!({
                    "entity": entity.name,
                    "role": rights.role,
                    "operation": operation.name(),
                    "rules": ways.iter().map(way).collect::<Vec<_>>(),
                    "walls": walls.iter().map(wall).collect::<Vec<_>>(),
                }));
            }
        }
    }
    let names: Vec<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
    let all = json!({
        "version": 1,
        "policy": hash,
        "roles": roles,
        "entities": names,
        "granted": cells,
    });
    format!("{all:#}\n")
}

fn way(way: &Way) -> Value {
    let Way {
        rule,
        at,
        through,
        rows,
        fields,
        forced,
    } = way;
    json!({
        "rule": rule,
        "file": &*at.file,
        "line": at.line,
        "column": at.column,
        "inherited_from": through,
        "rows": rows,
        "fields": fields,
        "forced": forced,
    })
}

fn wall(wall: &Wall) -> Value {
    let Wall { id, at, rows } = wall;
    json!({"id": id, "file": &*at.file, "line": at.line, "column": at.column, "rows": rows})
}
