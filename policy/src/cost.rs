//! What a plan costs, line by line: the table of docs/policy.md with a number in each line.

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// The plan itself.
    Plan,
    /// Nodes and list values of filters.
    FilterNodes,
    /// Searches within texts.
    Searches,
    /// Conditions on linked rows, and included relations.
    Relations,
    /// A filter that no index leads to.
    FilterWithoutIndex,
    /// Sort keys.
    SortKeys,
    /// An order that no index begins with.
    OrderWithoutIndex,
    /// Rows, or groups, that are asked for.
    Rows,
    /// Rows that included relations may bring along.
    IncludedRows,
    /// Rows before a page.
    SkippedRows,
    /// Fields that are grouped by or made a number of.
    AggregatedFields,
    /// Numbers over rows that no index leads to.
    AggregateWithoutIndex,
    /// Rows that are counted or made numbers of, however many there are.
    CountedRows,
    /// Rows that are changed or removed, however many there are.
    WrittenRows,
    /// Rows of a `createMany`.
    CreatedRows,
}

impl Item {
    /// All of them, in the table's order.
    pub const ALL: [Item; 15] = [
        Item::Plan,
        Item::FilterNodes,
        Item::Searches,
        Item::Relations,
        Item::FilterWithoutIndex,
        Item::SortKeys,
        Item::OrderWithoutIndex,
        Item::Rows,
        Item::IncludedRows,
        Item::SkippedRows,
        Item::AggregatedFields,
        Item::AggregateWithoutIndex,
        Item::CountedRows,
        Item::WrittenRows,
        Item::CreatedRows,
    ];

    /// What `explain` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Item::Plan => "plan",
            Item::FilterNodes => "filterNodes",
            Item::Searches => "searches",
            Item::Relations => "relations",
            Item::FilterWithoutIndex => "filterWithoutIndex",
            Item::SortKeys => "sortKeys",
            Item::OrderWithoutIndex => "orderWithoutIndex",
            Item::Rows => "rows",
            Item::IncludedRows => "includedRows",
            Item::SkippedRows => "skippedRows",
            Item::AggregatedFields => "aggregatedFields",
            Item::AggregateWithoutIndex => "aggregateWithoutIndex",
            Item::CountedRows => "countedRows",
            Item::WrittenRows => "writtenRows",
            Item::CreatedRows => "createdRows",
        }
    }
}

/// What each line comes to. Of a fixed size: every decision makes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost([u32; Item::ALL.len()]);

impl Cost {
    pub(crate) fn add(&mut self, item: Item, cost: u32) {
        if let Some(line) = self.0.get_mut(position(item)) {
            *line = line.saturating_add(cost);
        }
    }

    /// Both, line by line: what is done together costs together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (item, cost) in other.lines() {
            self.add(item, cost);
        }
        self
    }

    /// What one line comes to.
    pub fn of(&self, item: Item) -> u32 {
        self.0.get(position(item)).copied().unwrap_or(0)
    }

    /// Lines that come to anything.
    pub fn lines(&self) -> impl Iterator<Item = (Item, u32)> {
        let lines = Item::ALL.into_iter().zip(self.0);
        lines.filter(|(_, cost)| *cost > 0)
    }

    /// The sum: the plan's complexity.
    pub fn total(&self) -> u32 {
        self.0.iter().copied().fold(0, u32::saturating_add)
    }
}

fn position(item: Item) -> usize {
    match item {
        Item::Plan => 0,
        Item::FilterNodes => 1,
        Item::Searches => 2,
        Item::Relations => 3,
        Item::FilterWithoutIndex => 4,
        Item::SortKeys => 5,
        Item::OrderWithoutIndex => 6,
        Item::Rows => 7,
        Item::IncludedRows => 8,
        Item::SkippedRows => 9,
        Item::AggregatedFields => 10,
        Item::AggregateWithoutIndex => 11,
        Item::CountedRows => 12,
        Item::WrittenRows => 13,
        Item::CreatedRows => 14,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_kept_apart_and_the_sum_is_theirs() {
        let mut cost = Cost::default();
        for (nth, item) in Item::ALL.into_iter().enumerate() {
            assert_eq!(position(item), nth);
            cost.add(item, u32::try_from(nth).unwrap());
        }
        for (nth, item) in Item::ALL.into_iter().enumerate() {
            assert_eq!(cost.of(item), u32::try_from(nth).unwrap());
        }
        assert_eq!(cost.total(), (0..15).sum::<u32>());
        assert_eq!(cost.and(cost).total(), 2 * cost.total());
        assert_eq!(
            cost.lines().count(),
            14,
            "nothing is said of what comes to nothing"
        );
    }

    /// docs/policy.md names the lines as `explain` does.
    #[test]
    fn the_documented_table_names_each_line_once() {
        let docs = include_str!("../../docs/policy.md");
        for item in Item::ALL {
            let cell = format!("| `{}` |", item.name());
            assert_eq!(docs.matches(&cell).count(), 1, "{cell}");
        }
    }
}
