//! What was measured once in each round: the median counts, and how far the rounds lie apart is told with it.

/// A figure of each round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series(Vec<f64>);

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl Series {
    /// The one in the middle, or between the two that are; 0 if there is none.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => 0.0,
            count if count % 2 == 1 => self.0[middle],
            _ => (self.0[middle - 1] + self.0[middle]) / 2.0,
        }
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }
}

/// Which of these counts: the one with the largest median, the first of equals.
pub(super) fn best(all: &[Series]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (index, series) in all.iter().enumerate() {
        if best.is_none_or(|best| series.median() > all[best].median()) {
            best = Some(index);
        }
    }
    best
}

/// What part of `whole` this is; 0 where that is nothing.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        values.iter().copied().collect()
    }

    #[test]
    fn the_median_is_the_one_in_the_middle_or_between_two() {
        for (values, median) in
            [(&[][..], 0.0), (&[3.0], 3.0), (&[4.0, 1.0], 2.5), (&[9.0, 1.0, 2.0], 2.0), (&[1.0, 100.0, 3.0, 2.0], 2.5)]
        {
            assert_eq!(series(values).median(), median, "{values:?}");
        }
        let of_three = series(&[9.0, 1.0, 2.0]);
        assert_eq!((of_three.min(), of_three.max()), (1.0, 9.0));
    }

    #[test]
    fn the_wall_is_the_way_with_the_best_median_not_with_the_best_round() {
        let ways = [series(&[5.0, 5.0, 5.0]), series(&[1.0, 6.0, 7.0]), series(&[2.0, 3.0, 99.0]), series(&[6.0; 3])];
        assert_eq!(best(&ways), Some(1), "the first of two equals");
        assert_eq!(best(&ways[2..]), Some(1));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert_eq!((share(3.0, 4.0), share(3.0, 0.0)), (0.75, 0.0));
    }
}
