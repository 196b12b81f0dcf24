//! "Did you mean": the nearest of the words that would have been right.

/// The candidate nearest to `given`, if it is near enough to be meant.
pub fn nearest<'a>(given: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let most = given.chars().count().div_ceil(3).max(1);
    candidates
        .iter()
        .map(|candidate| (distance(given, candidate), *candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, remove, replace) from one word to the other, by Levenshtein's table, one row at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, from) in from.to_lowercase().chars().enumerate() {
        let mut next = vec![above.saturating_add(1)];
        let mut left = above.saturating_add(1);
        for ((diagonal, up), to) in row.iter().zip(row.iter().skip(1)).zip(&to) {
            let replaced = diagonal.saturating_add(usize::from(from != *to));
            left = replaced.min(up.saturating_add(1)).min(left.saturating_add(1));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (from, to, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("polcy", "policy", 1),
            ("SANDBOX", "sandbox", 0),
        ] {
            assert_eq!(distance(from, to), expected, "{from} → {to}");
        }
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let words = ["socket", "database", "policy"];
        assert_eq!(nearest("sokcet", &words), Some("socket"));
        assert_eq!(nearest("databse", &words), Some("database"));
        assert_eq!(nearest("colour", &words), None);
    }
}
