//! Rows of two tenants, and who may see and change which of them: said here by hand, without any of the project's code, so that
//! the project's answers can be held against it.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use dbal_shared::principal::Principal;

/// The tenant of most callers.
pub const OURS: &str = "tenant-one";
/// The tenant of Mallory.
pub const THEIRS: &str = "tenant-two";

/// The ids of the world, by what they are of. The last of each belong to nobody.
pub const PEOPLE: [&str; 6] = [
    "00000000-0000-7000-8000-0000000000a1",
    "00000000-0000-7000-8000-0000000000a2",
    "00000000-0000-7000-8000-0000000000a3",
    "00000000-0000-7000-8000-0000000000b1",
    "00000000-0000-7000-8000-0000000000b2",
    "00000000-0000-7000-8000-0000000000ff",
];
/// See [`PEOPLE`].
pub const NOTES: [&str; 9] = [
    "00000000-0000-7000-8000-000000000001",
    "00000000-0000-7000-8000-000000000002",
    "00000000-0000-7000-8000-000000000003",
    "00000000-0000-7000-8000-000000000004",
    "00000000-0000-7000-8000-000000000005",
    "00000000-0000-7000-8000-000000000006",
    "00000000-0000-7000-8000-000000000007",
    "00000000-0000-7000-8000-000000000008",
    "00000000-0000-7000-8000-0000000000fe",
];
/// See [`PEOPLE`].
pub const COMMENTS: [&str; 8] = [
    "c000000000000000000000001",
    "c000000000000000000000002",
    "c000000000000000000000003",
    "c000000000000000000000004",
    "c000000000000000000000005",
    "c000000000000000000000006",
    "c000000000000000000000007",
    "c0000000000000000000000ff",
];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, arbitrary::Arbitrary)]
pub enum Caller {
    /// A user of the first tenant.
    Alice,
    /// Another.
    Bob,
    /// A moderator of the first tenant.
    Carol,
    /// A user of the second tenant.
    Mallory,
    /// Somebody who proved nothing.
    Nobody,
}

impl Caller {
    /// All of them.
    pub const ALL: [Caller; 5] = [
        Caller::Alice,
        Caller::Bob,
        Caller::Carol,
        Caller::Mallory,
        Caller::Nobody,
    ];

    /// The id; none is known of nobody.
    pub fn id(self) -> Option<&'static str> {
        match self {
            Caller::Alice => Some(PEOPLE[0]),
            Caller::Bob => Some(PEOPLE[1]),
            Caller::Carol => Some(PEOPLE[2]),
            Caller::Mallory => Some(PEOPLE[3]),
            Caller::Nobody => None,
        }
    }

    /// The tenant.
    pub fn tenant(self) -> Option<&'static str> {
        match self {
            Caller::Alice | Caller::Bob | Caller::Carol => Some(OURS),
            Caller::Mallory => Some(THEIRS),
            Caller::Nobody => None,
        }
    }

    /// What a token would say.
    pub fn principal(self) -> Principal {
        let role = match self {
            Caller::Alice | Caller::Bob | Caller::Mallory => "user",
            Caller::Carol => "moderator",
            Caller::Nobody => return Principal::anonymous(),
        };
        Principal {
            id: self.id().map(str::to_owned),
            roles: vec![role.to_owned()],
            tenant: self.tenant().map(str::to_owned),
            claims: Vec::new(),
        }
    }
}

/// A row as it is stored.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its table.
    pub table: &'static str,
    /// Its cells.
    pub cells: Vec<(&'static str, Value)>,
}

impl Row {
    fn text(&self, column: &str) -> &str {
        let cell = self.cells.iter().find(|(name, _)| *name == column);
        match cell {
            Some((_, Value::Text(text))) => text,
            _ => "",
        }
    }

    fn weight(&self) -> i64 {
        let cell = self.cells.iter().find(|(name, _)| *name == "weight");
        match cell {
            Some((_, Value::Integer(number))) => *number,
            _ => 0,
        }
    }

    /// Whether this caller may see this cell.
    pub fn shows(&self, caller: Caller, column: &str) -> bool {
        let Some(id) = caller.id() else { return false };
        if Some(self.text("tenantId")) != caller.tenant() || column == "secret" {
            return false;
        }
        let is_moderator = caller == Caller::Carol;
        match self.table {
            "Person" => column != "email" || is_moderator,
            "Note" if is_moderator => true,
            "Note" if self.text("ownerId") == id => column != "remark",
            "Note" => {
                let shown = ["id", "tenantId", "ownerId", "title", "state", "rank", "at"];
                self.text("state") == "published" && shown.contains(&column)
            }
            _ => self.weight() >= 0,
        }
    }
}

/// What of the tables this caller may never change, however a call is put: all but these rows, as SQL conditions.
pub fn changeable(caller: Caller) -> [(&'static str, String); 3] {
    let nothing = || "0".to_owned();
    let (Some(id), Some(tenant)) = (caller.id(), caller.tenant()) else {
        return [("Person", nothing()), ("Note", nothing()), ("Comment", nothing())];
    };
    let of_tenant = format!("tenantId = '{tenant}'");
    let notes = if caller == Caller::Carol {
        of_tenant.clone()
    } else {
        format!("{of_tenant} AND ownerId = '{id}'")
    };
    let comments = format!("{of_tenant} AND authorId = '{id}'");
    [("Person", nothing()), ("Note", notes), ("Comment", comments)]
}

/// The rows of the world.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (nth, id) in PEOPLE[..5].iter().enumerate() {
        rows.push(person(id, if nth < 3 { OURS } else { THEIRS }, nth));
    }
    for (nth, (owner, state)) in [
        (0, "draft"),
        (0, "published"),
        (1, "draft"),
        (1, "published"),
        (2, "draft"),
        (3, "draft"),
        (3, "published"),
        (4, "published"),
    ]
    .into_iter()
    .enumerate()
    {
        let tenant = if owner < 3 { OURS } else { THEIRS };
        rows.push(note(NOTES[nth], tenant, PEOPLE[owner], state, nth));
    }
    for (nth, (on, author, weight)) in [
        (0, 0, 1),
        (1, 1, 2),
        (1, 0, -1),
        (2, 1, 3),
        (3, 0, 4),
        (5, 3, 5),
        (6, 4, -2),
    ]
    .into_iter()
    .enumerate()
    {
        let tenant = if author < 3 { OURS } else { THEIRS };
        rows.push(comment(COMMENTS[nth], tenant, NOTES[on], PEOPLE[author], weight));
    }
    rows
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn person(id: &str, tenant: &str, nth: usize) -> Row {
    let cells = vec![
        ("id", text(id)),
        ("tenantId", text(tenant)),
        ("name", text(format!("name-of-{nth}-qx"))),
        ("email", text(format!("mail-of-{nth}-qx"))),
        ("secret", text(format!("secret-of-{nth}-qx"))),
    ];
    Row {
        table: "Person",
        cells,
    }
}

fn note(id: &str, tenant: &str, owner: &str, state: &str, nth: usize) -> Row {
    let number = i64::try_from(nth).expect("few");
    let cells = vec![
        ("id", text(id)),
        ("tenantId", text(tenant)),
        ("ownerId", text(owner)),
        ("title", text(format!("title-of-{nth}-qx"))),
        ("body", text(format!("body-of-{nth}-qx"))),
        ("state", text(state)),
        ("rank", Value::Integer(number % 3)),
        ("big", Value::Integer(9_007_199_254_740_990 + number)),
        (
            "score",
            Value::Real(0.5 + f64::from(u8::try_from(nth).expect("few"))),
        ),
        ("price", text(format!("{nth}.25"))),
        ("pinned", Value::Integer(number % 2)),
        ("day", text(format!("2024-01-{:02}", nth + 1))),
        ("at", text(format!("2024-01-15T10:3{nth}:00.000Z"))),
        ("extra", text(format!("{{\"extra-of\":\"{nth}-qx\"}}"))),
        ("blob", Value::Blob(format!("blob-of-{nth}").into_bytes())),
        ("remark", text(format!("remark-of-{nth}-qx"))),
    ];
    Row { table: "Note", cells }
}

fn comment(id: &str, tenant: &str, on: &str, author: &str, weight: i64) -> Row {
    let cells = vec![
        ("id", text(id)),
        ("tenantId", text(tenant)),
        ("noteId", text(on)),
        ("authorId", text(author)),
        ("text", text(format!("text-of-{id}-qx"))),
        ("weight", Value::Integer(weight)),
    ];
    Row {
        table: "Comment",
        cells,
    }
}

/// The same world, other in everything that this caller may not see, as far as keys and references leave it free: he must not be
/// able to tell the two apart.
pub fn other_to(caller: Caller) -> Vec<Row> {
    let mut rows = rows();
    for row in &mut rows {
        let shown: Vec<bool> = row
            .cells
            .iter()
            .map(|(name, _)| row.shows(caller, name))
            .collect();
        for ((name, value), is_shown) in row.cells.iter_mut().zip(shown) {
            // Whether a row is there for him hangs on its state, too.
            let is_kept = matches!(
                *name,
                "id" | "tenantId" | "ownerId" | "noteId" | "authorId" | "state"
            );
            if !is_shown && !is_kept {
                *value = other(name, value);
            }
        }
    }
    // Nothing refers to the last comment of either tenant.
    rows.retain(|row| row.text("id") != COMMENTS[6] || row.shows(caller, "id"));
    let (tenant, people, on) = if caller.tenant() == Some(THEIRS) {
        (OURS, &PEOPLE[..3], NOTES[0])
    } else {
        (THEIRS, &PEOPLE[3..5], NOTES[5])
    };
    for nth in 0..3 {
        let id = format!("00000000-0000-7000-8000-0000000001{nth:02}");
        rows.push(note(&id, tenant, people[nth % 2], "published", nth + 2));
        let id = format!("c{:024}", 100 + nth);
        rows.push(comment(&id, tenant, on, people[nth % 2], 7));
    }
    rows
}

fn other(name: &str, value: &Value) -> Value {
    match (name, value) {
        ("price", _) => text("77.5"),
        ("day", _) => text("2031-12-24"),
        ("at", _) => Value::Null,
        ("extra", _) => text("[\"else\"]"),
        ("weight", _) => Value::Integer(-9),
        (_, Value::Integer(number)) => Value::Integer(1 - number.signum()),
        (_, Value::Real(number)) => Value::Real(-number),
        (_, Value::Text(was)) => text(format!("else-{was}")),
        (_, Value::Blob(_)) => Value::Null,
        (_, Value::Null) => Value::Null,
    }
}

/// Puts rows into their tables.
pub fn fill(connection: &Connection, rows: &[Row]) {
    for Row { table, cells } in rows {
        let names: Vec<String> = cells.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let places = vec!["?"; cells.len()].join(", ");
        let sql = format!("INSERT INTO \"{table}\" ({}) VALUES ({places})", names.join(", "));
        let values = cells.iter().map(|(_, value)| value);
        connection
            .execute(&sql, params_from_iter(values))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Every row that this caller may never change, as one text.
pub fn others_rows(connection: &Connection, caller: Caller) -> String {
    let mut all = String::new();
    for (table, condition) in changeable(caller) {
        let columns = rows()
            .into_iter()
            .find(|row| row.table == table)
            .expect("each has some")
            .cells;
        let quoted: Vec<String> = columns
            .iter()
            .map(|(name, _)| format!("quote(\"{name}\")"))
            .collect();
        let sql = format!(
            "SELECT {} FROM \"{table}\" WHERE NOT ({condition}) ORDER BY id",
            quoted.join("||'|'||")
        );
        let mut statement = connection.prepare_cached(&sql).expect("our own words");
        let mut found = statement.query([]).expect("our own words");
        while let Some(row) = found.next().expect("a row") {
            all.push_str(&row.get::<_, String>(0).expect("a text"));
            all.push('\n');
        }
    }
    all
}
