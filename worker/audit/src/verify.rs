//! Reads a journal from its first record to its last and names the first that is not what it was.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use dbal_shared::message::{Countersignature, Head};
use dbal_witness::PublicKey;
use serde_json::Value;

use crate::checkpoint;
use crate::claims::{self, Claims, Missed};
use crate::folder::{Lines, Part, files, first_of, is_packed, parts};
use crate::line::{Hash, NONE_BEFORE, parse};

/// What a sound journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Number of the first record; beyond 1 if older ones were removed, on record.
    pub first: u64,
    /// Records.
    pub records: u64,
    /// Files.
    pub files: u64,
    /// Number of the last checkpoint; signatures vouch for all before it if keys were asked for.
    pub checkpoint: Option<u64>,
    /// What brokers countersigned; none if their keys were not given.
    pub countersigned: Option<Countersigned>,
    /// Heads that were asked for and speak of records that are removed, on record.
    pub past: u64,
    /// Number of the last record.
    pub last: u64,
    /// Hash of the last record. Kept elsewhere, it shows later whether the end was cut off.
    pub head: String,
}

/// How far a trail is vouched for by brokers, who can't write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Countersigned {
    /// Number of the last record that is.
    pub last: u64,
    /// How often a broker began anew: it knew no head that it had signed before.
    pub begun: u64,
    /// Most records from one head to the next, or from the beginning to the first.
    pub longest: u64,
}

/// What a journal must show beside a sound chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands<'a> {
    /// Every checkpoint is signed by one of these, and there is one. Empty: signatures are not looked at.
    pub keys: &'a [PublicKey],
    /// A record with this hash is there, as an earlier `head` said.
    pub head: Option<&'a str>,
    /// These records are there.
    pub heads: &'a [Head],
    /// Every countersignature is signed by one of these, and there is one; all that they vouch for is there. Empty:
    /// countersignatures are not looked at.
    pub brokers: &'a [PublicKey],
}

/// The first place where a journal is not sound.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {what}", file.display(), place(*line))]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// The record's number, as the chain expects it.
    pub seq: u64,
    /// What is wrong.
    pub what: What,
}

fn place(line: u64) -> String {
    if line == 0 {
        String::new()
    } else {
        format!(":{line}")
    }
}

/// What is wrong with a record.
#[derive(Debug)]
pub enum What {
    /// It can't be read.
    Unreadable(io::Error),
    /// It was changed after it was written.
    Changed {
        /// Its number.
        seq: u64,
    },
    /// Records are missing before this one.
    Removed {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// A record stands at another place than it was written.
    Moved {
        /// The record that belongs here.
        expected: u64,
        /// The one that stands here.
        found: u64,
    },
    /// The record before this one was replaced, its own hash made to fit.
    Replaced {
        /// The number of the replaced record.
        seq: u64,
    },
    /// The line is no record.
    NotARecord {
        /// The number of the record that belongs here.
        seq: u64,
    },
    /// A checkpoint is not signed by a key that was asked for.
    NotSigned {
        /// Its number.
        seq: u64,
    },
    /// There is no checkpoint at all.
    NoCheckpoint,
    /// A countersignature is not by a key that was asked for, or not over what it says.
    NotCountersigned {
        /// Its number.
        seq: u64,
    },
    /// There is no countersignature at all.
    NoCountersignature,
    /// A record is not the one that stood there when its head was seen.
    Rewritten {
        /// Its number.
        seq: u64,
        /// The record of the countersignature that says so; none: a head that was asked for.
        by: Option<u64>,
    },
    /// Records that were seen are not there: the end was cut off.
    CutOff {
        /// The first that is missing.
        from: u64,
        /// The last that is known to have been there.
        to: u64,
    },
    /// The record that an earlier run named as the head is not there.
    HeadMissing,
    /// The last record is unfinished: a crash, or a cut. The worker sets it aside when it starts.
    Torn {
        /// The number that it would have.
        seq: u64,
    },
    /// A record that an earlier folder holds does not stand in the later one, whose file goes on after it.
    NotAsSealed {
        /// Its number.
        seq: u64,
    },
}

impl fmt::Display for What {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Unreadable(error) => write!(out, "can't be read: {error}"),
            What::Changed { seq } => write!(out, "record {seq} was changed"),
            What::Removed { from, to } if from == to => write!(out, "record {from} was removed"),
            What::Removed { from, to } => write!(out, "records {from} to {to} were removed"),
            What::Moved { expected, found } => {
                write!(out, "record {found} stands where record {expected} belongs")
            }
            What::Replaced { seq } => write!(out, "record {seq} was replaced by another"),
            What::NotARecord { seq } => write!(out, "is no audit record; record {seq} belongs here"),
            What::NotSigned { seq } => write!(out, "record {seq} is a checkpoint that this key did not sign"),
            What::NotCountersigned { seq } => {
                write!(out, "record {seq} is a countersignature that this broker did not make")
            }
            What::NoCountersignature => out.write_str("no broker has countersigned anything"),
            What::Rewritten { seq, by: Some(by) } => write!(
                out,
                "record {seq} is not the one that a broker countersigned, as record {by} says: the trail was written anew"
            ),
            What::Rewritten { seq, by: None } => write!(
                out,
                "record {seq} is not the one whose head was asked for: the trail was written anew, or this is another one"
            ),
            What::CutOff { from, to } if from == to => write!(out, "record {from} was cut off the end"),
            What::CutOff { from, to } => write!(out, "records {from} to {to} were cut off the end"),
            What::NoCheckpoint => out.write_str("there is no signed checkpoint"),
            What::HeadMissing => out.write_str(
                "the head that was asked for is not there: records were cut off the end, or this is another trail",
            ),
            What::Torn { seq } => write!(out, "record {seq} is unfinished"),
            What::NotAsSealed { seq } => write!(
                out,
                "record {seq} is sealed and does not stand here: this folder was cut or written anew"
            ),
        }
    }
}

/// Verifies the journal in `dir`.
pub fn verify(dir: &Path) -> Result<Verified, Broken> {
    verify_as(dir, &Demands::default())
}

/// Verifies the journal in `dir` and that it meets these demands.
pub fn verify_as(dir: &Path, demands: &Demands<'_>) -> Result<Verified, Broken> {
    verify_across(&[dir], demands)
}

/// Verifies the journal that lies in these folders, each of which goes on from the one before, and that it meets these demands.
pub fn verify_across(folders: &[&Path], demands: &Demands<'_>) -> Result<Verified, Broken> {
    let dir = folders.first().copied().unwrap_or(Path::new(""));
    let parts = parts(folders).map_err(|error| unreadable(dir, error))?;
    // Where files were removed, the name of the oldest that is left says where the chain is taken up; a record of the removal
    // has to say the same.
    let first = parts.first().and_then(|part| first_of(&part.path));
    let first = first.unwrap_or(1).max(1);
    let mut walk = Walk::from(demands, first, Claims::gather(demands, &parts));
    walk.along(&parts)?;
    walk.ends_in(folders, &parts)?;
    walk.end().map_err(|what| {
        let is_at_the_beginning = matches!(what, What::Removed { .. });
        let part = if is_at_the_beginning {
            parts.first()
        } else {
            parts.last()
        };
        Broken {
            file: part.map_or_else(|| dir.to_owned(), |part| part.path.clone()),
            line: u64::from(is_at_the_beginning),
            seq: if is_at_the_beginning { first } else { walk.expected },
            what,
        }
    })?;
    Ok(walk.verified(&parts))
}

/// Verifies the end of the journal in `dir`, about `bytes` of it: what stands before is neither read nor vouched for. A compressed
/// file is read as a whole or not at all.
pub fn verify_end(dir: &Path, bytes: u64) -> Result<Verified, Broken> {
    let all = files(dir).map_err(|error| unreadable(dir, error))?;
    let mut left = bytes;
    for (at, file) in all.iter().enumerate().rev() {
        let length = file.metadata().map_err(|error| unreadable(file, error))?.len();
        if is_packed(file) && length > left {
            let is_last = at.saturating_add(1) == all.len();
            let from = if is_last { at } else { at.saturating_add(1) };
            return end_of(all.get(from..).unwrap_or_default(), 0);
        }
        if length > left {
            return end_of(all.get(at..).unwrap_or_default(), length.saturating_sub(left));
        }
        left = left.saturating_sub(length);
    }
    verify(dir)
}

/// From the first record that begins after this byte of the first file; it is believed as to its number and what came before it.
fn end_of(files: &[PathBuf], mut offset: u64) -> Result<Verified, Broken> {
    let demands = Demands::default();
    let mut rest = files;
    while let Some((file, later)) = rest.split_first() {
        let begins = line_after(file, offset).map_err(|error| unreadable(file, error))?;
        if let Some((offset, first)) = begins {
            let mut parts: Vec<Part> = rest.iter().cloned().map(Part::whole).collect();
            if let Some(part) = parts.first_mut() {
                part.from = offset;
            }
            let mut walk = Walk::from(&demands, first, Claims::gather(&demands, &[]));
            walk.along(&parts)?;
            return Ok(walk.verified(&parts));
        }
        // Only its last record was reached: the next file begins with one.
        offset = 0;
        rest = later;
    }
    Ok(Walk::from(&demands, 1, Claims::gather(&demands, &[])).verified(&[]))
}

/// Where the first line begins after `offset`, and its record's number; 1 for a line that is no record, as the walk will say.
fn line_after(file: &Path, offset: u64) -> io::Result<Option<(u64, u64)>> {
    let mut lines = Lines::open_at(file, offset)?;
    let cut = if offset == 0 {
        0
    } else {
        lines.next()?.map_or(0, |(_, line)| line.len())
    };
    let begins = offset.saturating_add(u64::try_from(cut).unwrap_or(u64::MAX));
    Ok(lines.next()?.map(|(_, line)| {
        let record = line.strip_suffix(b"\n").unwrap_or(line);
        (begins, parse(record).map_or(1, |link| link.seq))
    }))
}

fn unreadable(file: &Path, error: io::Error) -> Broken {
    Broken {
        file: file.to_owned(),
        line: 0,
        seq: 0,
        what: What::Unreadable(error),
    }
}

/// Where a walk along the chain has come to.
struct Walk<'a> {
    demands: &'a Demands<'a>,
    /// The record that the chain is taken up at.
    first: u64,
    expected: u64,
    prev: Hash,
    /// The hash that the first record names, if there were others before it.
    cut: Option<Hash>,
    is_cut_on_record: bool,
    /// As above, by a record that no checkpoint vouches for yet.
    is_cut_unsigned: bool,
    checkpoint: Option<u64>,
    has_head: bool,
    claims: Claims,
    /// How many of them speak of records before the first.
    past: u64,
    countersigned: Option<Countersigned>,
    /// Length of the last record's line.
    line_bytes: u64,
}

impl<'a> Walk<'a> {
    fn from(demands: &'a Demands<'a>, first: u64, mut claims: Claims) -> Self {
        let past = claims.skip_to(first);
        Self {
            claims,
            past,
            countersigned: None,
            line_bytes: 0,
            demands,
            first,
            expected: first,
            prev: NONE_BEFORE,
            cut: None,
            is_cut_on_record: false,
            is_cut_unsigned: false,
            checkpoint: None,
            has_head: demands.head.is_none(),
        }
    }

    /// All records of these parts.
    fn along(&mut self, parts: &[Part]) -> Result<(), Broken> {
        let mut before: Option<&Part> = None;
        for part in parts {
            let Part { path: file, from, .. } = part;
            if before.is_some_and(|before| before.to.is_some()) {
                self.goes_on(part)?;
            }
            before = Some(part);
            let mut lines = part.lines().map_err(|error| unreadable(file, error))?;
            while let Some((line, text)) = lines.next().map_err(|error| unreadable(file, error))? {
                let seq = self.expected;
                self.step(text, parts).map_err(|what| Broken {
                    file: file.clone(),
                    // Counted from the file's beginning or not at all.
                    line: if *from == 0 { line } else { 0 },
                    seq,
                    what,
                })?;
            }
        }
        Ok(())
    }

    /// The last record before this part stands in its file, too: else that one was cut, or written anew.
    fn goes_on(&self, part: &Part) -> Result<(), Broken> {
        let seq = self.expected.saturating_sub(1);
        let stands = stands_at(&part.path, part.from.saturating_sub(self.line_bytes), &self.prev);
        if part.from == 0 || stands.map_err(|error| unreadable(&part.path, error))? {
            return Ok(());
        }
        Err(Broken {
            file: part.path.clone(),
            line: 0,
            seq,
            what: What::NotAsSealed { seq },
        })
    }

    /// The last folder has what comes last.
    fn ends_in(&self, folders: &[&Path], parts: &[Part]) -> Result<(), Broken> {
        let (Some(folder), Some(part)) = (folders.last(), parts.last()) else {
            return Ok(());
        };
        if part.path.parent() == Some(*folder) {
            return Ok(());
        }
        let seq = self.expected.saturating_sub(1);
        Err(Broken {
            file: (*folder).to_owned(),
            line: 0,
            seq,
            what: What::NotAsSealed { seq },
        })
    }

    fn verified(&self, parts: &[Part]) -> Verified {
        let is_whole = |part: &&Part| part.to.is_none();
        Verified {
            first: self.first,
            records: self.expected.saturating_sub(self.first),
            files: u64::try_from(parts.iter().filter(is_whole).count()).unwrap_or(u64::MAX),
            checkpoint: self.checkpoint,
            countersigned: self.countersigned,
            past: self.past,
            last: self.expected.saturating_sub(1),
            head: String::from_utf8_lossy(&self.prev).into_owned(),
        }
    }

    fn step(&mut self, text: &[u8], parts: &[Part]) -> Result<(), What> {
        let seq = self.expected;
        let record = text.strip_suffix(b"\n").ok_or(What::Torn { seq })?;
        let link = parse(record).ok_or(What::NotARecord { seq })?;
        if link.hash != link.computed {
            return Err(What::Changed { seq });
        }
        if link.seq != seq {
            return Err(displaced(parts, seq, link.seq));
        }
        let is_taken_up_here = seq > 1 && seq == self.first;
        if is_taken_up_here {
            self.cut = Some(link.prev);
        } else if link.prev != self.prev {
            return Err(What::Replaced {
                seq: seq.saturating_sub(1).max(1),
            });
        }
        match Kind::of(record) {
            Kind::Plain => {}
            Kind::Removed { from, to, head } => self.note(from, to, &head),
            Kind::Checkpoint { signature } => {
                let keys = self.demands.keys;
                let is_signed = |key| checkpoint::vouches(key, seq, &link.prev, &signature);
                if !keys.is_empty() && !keys.iter().any(is_signed) {
                    return Err(What::NotSigned { seq });
                }
                self.checkpoint = Some(seq);
                self.is_cut_on_record |= self.is_cut_unsigned;
            }
            Kind::Countersigned(countersignature) => self.countersigned(seq, &countersignature)?,
            Kind::Malformed => return Err(What::NotARecord { seq }),
        }
        self.claims
            .check(seq, &link.hash)
            .map_err(|Missed { seq, by }| What::Rewritten { seq, by })?;
        self.has_head |= self.demands.head.is_some_and(|head| head.as_bytes() == link.hash);
        self.prev = link.hash;
        self.line_bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.expected = seq.saturating_add(1);
        Ok(())
    }

    /// A record of a countersignature. What it vouches for is among the claims.
    fn countersigned(&mut self, seq: u64, countersignature: &Countersignature) -> Result<(), What> {
        let brokers = self.demands.brokers;
        if brokers.is_empty() {
            return Ok(());
        }
        let Countersignature { head, after, .. } = countersignature;
        // Nobody can sign what is not written yet.
        if head.sequence >= seq || !claims::is_signed_by(brokers, countersignature) {
            return Err(What::NotCountersigned { seq });
        }
        let before = self.countersigned.unwrap_or_default();
        let from = before.last.max(self.first.saturating_sub(1));
        self.countersigned = Some(Countersigned {
            last: before.last.max(head.sequence),
            begun: before.begun.saturating_add(u64::from(after.is_none())),
            longest: before.longest.max(head.sequence.saturating_sub(from)),
        });
        Ok(())
    }

    /// A record of a removal, which may be that of what is missing here.
    fn note(&mut self, from: u64, to: u64, head: &str) {
        self.has_head |= self.demands.head == Some(head);
        let Some(cut) = self.cut else { return };
        let last_missing = self.first.saturating_sub(1);
        // After a crash in the middle of a removal, some of what it names may still be there.
        let is_this = from <= last_missing && last_missing <= to;
        self.is_cut_unsigned |= is_this && (last_missing != to || head.as_bytes() == cut);
    }

    fn end(&mut self) -> Result<(), What> {
        let is_on_record = if self.demands.keys.is_empty() {
            self.is_cut_unsigned
        } else {
            self.is_cut_on_record
        };
        if self.first > 1 && !is_on_record {
            return Err(What::Removed {
                from: 1,
                to: self.first.saturating_sub(1),
            });
        }
        if let Some(Missed { seq, by: _ }) = self.claims.unmet() {
            return Err(What::CutOff {
                from: self.expected,
                to: seq,
            });
        }
        if !self.has_head {
            return Err(What::HeadMissing);
        }
        if !self.demands.keys.is_empty() && self.checkpoint.is_none() {
            return Err(What::NoCheckpoint);
        }
        if !self.demands.brokers.is_empty() && self.countersigned.is_none() {
            return Err(What::NoCountersignature);
        }
        Ok(())
    }
}

/// Number, `prev`, time and event of a record take fewer bytes.
const EVENT_BYTES: usize = 200;

/// What of a record matters to the chain beside its hashes.
pub(crate) enum Kind {
    Plain,
    Removed { from: u64, to: u64, head: String },
    Checkpoint { signature: String },
    Countersigned(Box<Countersignature>),
    Malformed,
}

impl Kind {
    pub(crate) fn of(record: &[u8]) -> Self {
        let read = || serde_json::from_slice::<Value>(record).ok();
        let kind = match event_of(record) {
            Some(b"removed") => read().and_then(|record| {
                let removed = record.get("removed")?;
                Some(Kind::Removed {
                    from: removed.get("from")?.as_u64()?,
                    to: removed.get("to")?.as_u64()?,
                    head: removed.get("head")?.as_str()?.to_owned(),
                })
            }),
            Some(b"checkpoint") => read().and_then(|record| {
                let signature = record.pointer("/checkpoint/signature")?.as_str()?.to_owned();
                Some(Kind::Checkpoint { signature })
            }),
            Some(b"countersigned") => read().and_then(|record| {
                let countersignature = claims::countersignature_of(record.get("countersigned")?)?;
                Some(Kind::Countersigned(Box::new(countersignature)))
            }),
            Some(_) | None => Some(Kind::Plain),
        };
        kind.unwrap_or(Kind::Malformed)
    }
}

/// The word of the event. It stands near the beginning, before anything that a caller can choose.
fn event_of(record: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b",\"event\":\"";
    let start = record.get(..EVENT_BYTES).unwrap_or(record);
    let at = start.windows(NAME.len()).position(|bytes| bytes == NAME)?;
    let word = record.get(at.saturating_add(NAME.len())..)?;
    word.split(|byte| *byte == b'"').next()
}

/// Another record stands where `expected` belongs. If that one is elsewhere, records were moved, else removed.
fn displaced(parts: &[Part], expected: u64, found: u64) -> What {
    let stands_elsewhere = parts
        .iter()
        .any(|part| holds(&part.path, expected).unwrap_or(false));
    if found < expected || stands_elsewhere {
        What::Moved { expected, found }
    } else {
        What::Removed {
            from: expected,
            to: found.saturating_sub(1),
        }
    }
}

/// Whether the line at this byte of a file's text is the whole and sound record with this hash.
pub(crate) fn stands_at(file: &Path, offset: u64, hash: &Hash) -> io::Result<bool> {
    let mut lines = Lines::open_at(file, offset)?;
    let record = lines
        .next()?
        .and_then(|(_, line)| parse(line.strip_suffix(b"\n")?));
    Ok(record.is_some_and(|link| link.hash == *hash && link.computed == *hash))
}

fn holds(file: &Path, seq: u64) -> io::Result<bool> {
    let mut lines = Lines::open(file)?;
    while let Some((_, line)) = lines.next()? {
        let record = line.strip_suffix(b"\n").unwrap_or(line);
        if parse(record).is_some_and(|link| link.seq == seq && link.hash == link.computed) {
            return Ok(true);
        }
    }
    Ok(false)
}
