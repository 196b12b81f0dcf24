//! More rows with one call than one statement takes.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::plan::Action;
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;

use super::{Bench, Ground, code};
use crate::fixture::{ALICE, BOB, text, uuid};

/// Of two kinds that can't share a statement.
pub(in crate::database) fn of_very_many_rows_the_first_that_is_wrong_is_told<B: Bench>() {
    let ground = Ground::<B>::new();
    let made = |caller, prefix: &str, wrong: &[(usize, &str, Value)]| {
        let row = |nth: usize| {
            let mut values = vec![
                ("ownerId", uuid(ALICE)),
                ("slug", text(&format!("{prefix}{nth}"))),
            ];
            if nth > 70 {
                values.push(("rank", Value::Int(7)));
            }
            for (_, field, value) in wrong.iter().filter(|(wrong, ..)| *wrong == nth) {
                values.retain(|(name, _)| name != field);
                values.push((*field, value.clone()));
            }
            ground.fixture.values("Note", &values)
        };
        let rows = (0..90).map(row).collect();
        ground.run(caller, "Note", Action::CreateMany { rows })
    };
    let user = (ALICE, "user");
    assert_eq!(made(user, "a", &[]), Ok(90.into()));
    let taken = made(user, "b", &[(68, "slug", text("b2"))]);
    let field = |name| ground.fixture.column("Note", name);
    let fields = vec![(field("ownerId"), Fault::Taken), (field("slug"), Fault::Taken)];
    assert_eq!(taken, Err((Code::Conflict, fields)));
    let bobs = (75, "ownerId", uuid(BOB));
    assert_eq!(
        code(made(user, "c", &[bobs, (80, "slug", text("c2"))])),
        Code::Forbidden
    );
    let nobody = "0199a000-0000-7000-8000-00000000dead";
    let lost = made((ALICE, "admin"), "d", &[(15, "ownerId", uuid(nobody))]);
    let fields = vec![(field("ownerId"), Fault::NoSuchReference)];
    assert_eq!(lost, Err((Code::Invalid, fields)));
    let ranked = Action::Count {
        filter: ground.fixture.eq("Note", "rank", Value::Int(7)),
    };
    assert_eq!(ground.run(user, "Note", ranked), Ok(19.into()));
    let filter = Predicate::True;
    assert_eq!(ground.run(user, "Note", Action::Count { filter }), Ok(90.into()));
}
