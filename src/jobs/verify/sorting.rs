//! A stretch put in order: stably, by the first eight bytes of the keys.
//!
//! Words are dealt out to about as many buckets as there are records, by their distance from the least one; then neighbours
//! change places until all is in order. Where keys lie evenly, that is a few steps a record, and where there are few different ones, a
//! bucket is one of them and nothing is left to do. Where they do not (many in one bucket, and not the same), the standard
//! library sorts.

use super::inputs::Next;

/// With more records than that in a bucket, changing places takes longer than sorting.
const FULLEST: u32 = 16;

/// What is needed to sort; kept from one stretch to the next.
#[derive(Debug, Default)]
pub(super) struct Sorting {
    /// How many records lie in each bucket, then where the next one of each is put.
    counts: Vec<u32>,
    dealt: Vec<Next>,
}

impl Sorting {
    /// Sorts by word; records of the same word stay in the order they are in.
    pub(super) fn sort(&mut self, records: &mut Vec<Next>) {
        let words = || records.iter().map(|next| next.word);
        let (Some(least), Some(most)) = (words().min(), words().max()) else { return };
        let span = most - least;
        let shift = (u64::BITS - span.leading_zeros()).saturating_sub(usize::BITS - records.len().leading_zeros());
        let bucket = |next: &Next| ((next.word - least) >> shift) as usize;
        self.counts.clear();
        self.counts.resize((span >> shift) as usize + 1, 0);
        records.iter().for_each(|next| self.counts[bucket(next)] += 1);
        let (mut before, mut fullest) = (0, 0);
        for count in &mut self.counts {
            fullest = fullest.max(*count);
            before += std::mem::replace(count, before);
        }
        // A bucket of more than one word is to be sorted.
        if shift > 0 && fullest > FULLEST {
            return records.sort_by_key(|next| next.word);
        }
        self.dealt.clone_from(records);
        for next in records.iter() {
            let place = &mut self.counts[bucket(next)];
            self.dealt[*place as usize] = *next;
            *place += 1;
        }
        std::mem::swap(records, &mut self.dealt);
        if shift > 0 {
            change_places(records);
        }
    }
}

/// Puts in order what is nearly so already.
fn change_places(records: &mut [Next]) {
    for index in 1..records.len() {
        let next = records[index];
        let mut at = index;
        while at > 0 && records[at - 1].word > next.word {
            records[at] = records[at - 1];
            at -= 1;
        }
        records[at] = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    #[test]
    fn whatever_the_words_are_they_are_sorted_as_the_standard_library_does() {
        let seed =
            std::env::var("KMERGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
        eprintln!("KMERGE_TEST_SEED={seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sorting = Sorting::default();
        for round in 0..300 {
            let (length, least) = (rng.random_range(0..600_u32), rng.random::<u64>() >> rng.random_range(0..64));
            let width = 63_u32.min(rng.random_range(0..80));
            let mut records: Vec<Next> = (0..length)
                .map(|index| {
                    let word = match round % 4 {
                        0 => rng.random::<u64>() >> width,
                        1 => least.saturating_add(rng.random_range(0..10)),
                        // All but one in a bucket.
                        2 => least.saturating_add(if index == 0 { 1 << 60 } else { rng.random_range(0..1000) }),
                        _ => [0, 1, u64::MAX - 1, u64::MAX][rng.random_range(0..4)],
                    };
                    Next { word, source: index % 7, index }
                })
                .collect();
            let mut sorted = records.clone();
            sorted.sort_by_key(|next| next.word);
            sorting.sort(&mut records);
            assert_eq!(format!("{records:?}"), format!("{sorted:?}"), "{round}");
        }
    }
}
