//! The invariants file as it is written: keys, places and texts. What they mean is judged in `invariants`.

use dbal_schema::mapping::{At, Mapping};
use dbal_schema::report::Report;
use dbal_schema::yaml::{self, Node};
use dbal_schema::{Location, Scalar, Source};

use crate::rules_file::{check_version, items};

/// An invariants file.
#[derive(Debug, Default)]
pub(crate) struct InvariantsFile {
    pub(crate) invariants: Vec<DeclaredInvariant>,
}

/// One item of `invariants:`
#[derive(Debug)]
pub(crate) struct DeclaredInvariant {
    pub(crate) at: Location,
    pub(crate) id: At<String>,
    pub(crate) who: DeclaredWho,
    pub(crate) demand: DeclaredDemand,
}

/// Of whom it speaks.
#[derive(Debug)]
pub(crate) struct DeclaredWho {
    /// None: everybody.
    pub(crate) roles: Option<Vec<At<String>>>,
    pub(crate) unless_roles: Vec<At<String>>,
    pub(crate) is_anonymous: bool,
}

/// What it demands.
#[derive(Debug)]
pub(crate) enum DeclaredDemand {
    /// `never: {read: …, write: …}`
    Never {
        /// Verbs and what they must not be done to.
        targets: Vec<(Verb, Vec<At<String>>)>,
        except: Vec<At<String>>,
        rows: Option<Scalar>,
    },
    /// `within: {entity: …, rows: …}`
    Within {
        entities: Vec<At<String>>,
        except: Vec<At<String>>,
        operations: Option<Vec<At<String>>>,
        fields: Option<Vec<At<String>>>,
        rows: Scalar,
    },
}

/// What may never be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Create,
    Update,
    Delete,
    /// All three that change something; of a field, the first two.
    Write,
}

impl Verb {
    const ALL: [(Verb, &'static str); 5] = [
        (Verb::Read, "read"),
        (Verb::Create, "create"),
        (Verb::Update, "update"),
        (Verb::Delete, "delete"),
        (Verb::Write, "write"),
    ];
}

/// Reads the file; what is wrong with it is in the report.
pub(crate) fn read(source: &Source, report: &mut Report) -> InvariantsFile {
    let documents = match yaml::parse(source) {
        Ok(documents) => documents,
        Err(problem) => {
            report.problems.push(problem);
            return InvariantsFile::default();
        }
    };
    let [document] = documents.as_slice() else {
        let at = Location {
            file: source.name.as_str().into(),
            line: 0,
            column: 0,
        };
        report.problem(
            &at,
            "an invariants file has one document with `version: 1` and `invariants`",
        );
        return InvariantsFile::default();
    };
    let Some(mut map) = Mapping::of(document, "the invariants file", report) else {
        return InvariantsFile::default();
    };
    check_version(&mut map, &document.at, report);
    map.take(&["description"], report);
    let declared = items(map.take(&["invariants"], report), "`invariants`", report);
    map.finish("the invariants file", report);
    if declared.is_empty() {
        report.problem(
            &document.at,
            "this file demands nothing: name `invariants`, or no invariants file",
        );
    }
    InvariantsFile {
        invariants: declared
            .iter()
            .filter_map(|node| read_invariant(node, report))
            .collect(),
    }
}

fn read_invariant(node: &Node, report: &mut Report) -> Option<DeclaredInvariant> {
    let mut map = Mapping::of(node, "an invariant", report)?;
    let id = map.text(&["id"], report);
    map.take(&["description"], report);
    let never = map.take(&["never"], report);
    let within = map.take(&["within"], report);
    map.finish("an invariant", report);
    if id.is_none() {
        report.problem(&node.at, "this invariant has no `id`");
    }
    let (who, demand) = match (never, within) {
        (Some(never), None) => read_never(never, report)?,
        (None, Some(within)) => read_within(within, report)?,
        (Some(_), Some(_)) | (None, None) => {
            report.problem(&node.at, "an invariant says either `never` or `within`");
            return None;
        }
    };
    Some(DeclaredInvariant {
        at: node.at.clone(),
        id: id?,
        who,
        demand,
    })
}

fn read_who(map: &mut Mapping<'_>, report: &mut Report) -> DeclaredWho {
    DeclaredWho {
        roles: map.texts(&["roles"], report),
        unless_roles: map.texts(&["unless_roles"], report).unwrap_or_default(),
        is_anonymous: map.flag(&["anonymous"], report).is_some_and(|flag| flag.value),
    }
}

fn read_never(node: &Node, report: &mut Report) -> Option<(DeclaredWho, DeclaredDemand)> {
    let mut map = Mapping::of(node, "`never`", report)?;
    let who = read_who(&mut map, report);
    let mut targets = Vec::new();
    for (verb, key) in Verb::ALL {
        if let Some(names) = map.texts(&[key], report) {
            targets.push((verb, names));
        }
    }
    let except = map.texts(&["except"], report).unwrap_or_default();
    let rows = map.scalar(&["rows"], report);
    map.finish("`never`", report);
    if targets.iter().all(|(_, names)| names.is_empty()) {
        report.problem(
            &node.at,
            "this forbids nothing; name `read`, `create`, `update`, `delete` or `write`",
        );
    }
    Some((
        who,
        DeclaredDemand::Never {
            targets,
            except,
            rows,
        },
    ))
}

fn read_within(node: &Node, report: &mut Report) -> Option<(DeclaredWho, DeclaredDemand)> {
    let mut map = Mapping::of(node, "`within`", report)?;
    let who = read_who(&mut map, report);
    let entities = map.texts(&["entity", "entities"], report).unwrap_or_default();
    let except = map.texts(&["except"], report).unwrap_or_default();
    let operations = map.texts(&["operations"], report);
    let fields = map.texts(&["fields"], report);
    let rows = map.scalar(&["rows"], report);
    map.finish("`within`", report);
    if entities.is_empty() {
        report.problem(&node.at, "this invariant has no `entity`; \"*\" means all");
    }
    if rows.is_none() {
        report.problem(&node.at, "this invariant has no `rows`");
    }
    let demand = DeclaredDemand::Within {
        entities,
        except,
        operations,
        fields,
        rows: rows?,
    };
    Some((who, demand))
}
