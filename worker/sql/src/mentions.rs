//! Which entities a plan speaks of, wherever they stand in it.

use dbal_shared::ids::EntityId;
use dbal_shared::plan::{Action, Include, Plan};
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::{Mask, ReadTerms, Terms, WriteTerms};

/// Adds those that are not there yet. The plan's own is not among them, unless it is linked to itself.
pub(crate) fn of_terms(terms: &Terms, all: &mut Vec<EntityId>) {
    let Terms {
        plan: Plan { entity: _, action },
        read,
        write,
        create,
    } = terms;
    of_action(action, all);
    of_read(read, all);
    for WriteTerms { before, after } in write {
        of_predicate(before, all);
        of_predicate(after, all);
    }
    of_predicate(create, all);
}

fn of_action(action: &Action, all: &mut Vec<EntityId>) {
    match action {
        Action::Read { includes, .. } => of_includes(includes, all),
        Action::FindFirst { filter, includes, .. } | Action::List { filter, includes, .. } => {
            of_predicate(filter, all);
            of_includes(includes, all);
        }
        Action::Count { filter }
        | Action::Aggregate { filter, .. }
        | Action::UpdateMany { filter, .. }
        | Action::DeleteMany { filter } => of_predicate(filter, all),
        Action::Create { .. }
        | Action::CreateMany { .. }
        | Action::Update { .. }
        | Action::Delete { .. }
        | Action::Upsert { .. } => {}
    }
}

fn of_includes(includes: &[Include], all: &mut Vec<EntityId>) {
    for Include {
        link,
        filter,
        order: _,
        limit: _,
        projection: _,
        includes,
    } in includes
    {
        add(link.entity, all);
        of_predicate(filter, all);
        of_includes(includes, all);
    }
}

fn of_read(terms: &ReadTerms, all: &mut Vec<EntityId>) {
    let ReadTerms {
        rows,
        masks,
        includes,
    } = terms;
    of_predicate(rows, all);
    for Mask {
        column: _,
        shown_when,
    } in masks
    {
        of_predicate(shown_when, all);
    }
    for included in includes {
        of_read(included, all);
    }
}

fn of_predicate(predicate: &Predicate, all: &mut Vec<EntityId>) {
    match predicate {
        Predicate::True
        | Predicate::False
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. } => {}
        Predicate::Related {
            link,
            quantifier: _,
            within,
            predicate,
        } => {
            add(link.entity, all);
            of_predicate(within, all);
            of_predicate(predicate, all);
        }
        Predicate::And(several) | Predicate::Or(several) => {
            for one in several {
                of_predicate(one, all);
            }
        }
        Predicate::Not(inner) => of_predicate(inner, all),
    }
}

fn add(entity: EntityId, all: &mut Vec<EntityId>) {
    if !all.contains(&entity) {
        all.push(entity);
    }
}
