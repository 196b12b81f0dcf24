//! A set of columns of one entity, small enough to copy around for every request.

use dbal_shared::ids::ColumnId;
use dbal_shared::limits::COLUMNS;

const BITS: usize = 64;
const WORDS: usize = COLUMNS / BITS;

/// A set of columns. Ids beyond [`COLUMNS`] are never in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ColumnSet([u64; WORDS]);

impl ColumnSet {
    /// No column.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first `count` columns: all of an entity that has so many.
    #[must_use]
    pub fn full(count: usize) -> Self {
        (0..count)
            .filter_map(|nth| u16::try_from(nth).ok())
            .map(ColumnId)
            .collect()
    }

    /// Whether `column` is in it.
    pub fn contains(&self, column: ColumnId) -> bool {
        let (word, bit) = place(column);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Puts `column` in.
    pub fn insert(&mut self, column: ColumnId) {
        let (word, bit) = place(column);
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }

    /// Takes `column` out.
    pub fn remove(&mut self, column: ColumnId) {
        let (word, bit) = place(column);
        if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
    }

    /// Columns that are in either.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
        self
    }

    /// Columns that are in both.
    #[must_use]
    pub fn intersection(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine &= theirs;
        }
        self
    }

    /// Columns that are in this one and not in `other`.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine &= !theirs;
        }
        self
    }

    /// Whether every column of this one is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }

    /// Whether there is no column in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    /// The columns, in the schema's order.
    pub fn iter(&self) -> impl Iterator<Item = ColumnId> + '_ {
        (0..COLUMNS)
            .filter_map(|nth| u16::try_from(nth).ok())
            .map(ColumnId)
            .filter(|column| self.contains(*column))
    }
}

impl FromIterator<ColumnId> for ColumnSet {
    fn from_iter<I: IntoIterator<Item = ColumnId>>(columns: I) -> Self {
        let mut set = Self::new();
        for column in columns {
            set.insert(column);
        }
        set
    }
}

fn place(column: ColumnId) -> (usize, u64) {
    let nth = usize::from(column.0);
    (nth / BITS, 1 << (nth % BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_set() {
        let mut set: ColumnSet = [0, 63, 64, 511].map(ColumnId).into_iter().collect();
        assert_eq!(set.iter().map(|c| c.0).collect::<Vec<_>>(), [0, 63, 64, 511]);
        set.insert(ColumnId(512));
        set.insert(ColumnId(u16::MAX));
        assert!(!set.contains(ColumnId(512)));
        set.remove(ColumnId(63));
        assert!(!set.contains(ColumnId(63)));
        assert_eq!(ColumnSet::full(3).iter().count(), 3);
        assert_eq!(ColumnSet::full(100_000).iter().count(), COLUMNS);
        let three = ColumnSet::full(3);
        assert_eq!(set.intersection(&three), [ColumnId(0)].into_iter().collect());
        assert_eq!(set.union(&three).iter().count(), 5);
        assert!(three.difference(&three).is_empty());
        assert!(ColumnSet::full(2).is_subset(&three) && !three.is_subset(&set));
    }
}
