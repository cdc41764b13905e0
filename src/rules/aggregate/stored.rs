//! What values have come to, as bytes, so that it can be put aside and had again.

use super::exact_sum::ExactSum;
use super::{Aggregate, AggregateKind, Extreme, SoFar};
use crate::rules::seen::Number;

const WHOLE: u8 = 0;
const DOUBLE: u8 = 1;

impl Aggregate {
    /// Appends it. What keeps its values (quantiles, distinct) is not stored as a whole: whoever shares out values has them.
    pub(in crate::rules) fn put(&self, out: &mut Vec<u8>) {
        put_word(out, self.unfit);
        match &self.so_far {
            SoFar::Records(count) | SoFar::Count(count) => put_word(out, *count),
            SoFar::Sum(sum) => put_sum(out, sum),
            SoFar::Mean { sum, count } => {
                put_word(out, *count);
                put_sum(out, sum);
            }
            SoFar::Extreme(Extreme { number, text, texts, .. }) => {
                put_word(out, *texts);
                out.push(u8::from(number.is_some()) | u8::from(text.is_some()) << 1);
                if let Some(number) = number {
                    put_number(out, *number);
                }
                if let Some(text) = text {
                    put_word(out, text.len() as u64);
                    out.extend_from_slice(text);
                }
            }
            SoFar::Quantile { .. } | SoFar::Distinct { .. } => {}
        }
    }

    /// Takes one of this kind off the front; `None` where there is none.
    pub(in crate::rules) fn take(kind: AggregateKind, bytes: &mut &[u8]) -> Option<Self> {
        let mut taken = Self::new(kind);
        taken.unfit = take_word(bytes)?;
        match &mut taken.so_far {
            SoFar::Records(count) | SoFar::Count(count) => *count = take_word(bytes)?,
            SoFar::Sum(sum) => *sum = take_sum(bytes)?,
            SoFar::Mean { sum, count } => {
                *count = take_word(bytes)?;
                *sum = take_sum(bytes)?;
            }
            SoFar::Extreme(Extreme { number, text, texts, .. }) => {
                *texts = take_word(bytes)?;
                let there = take_byte(bytes)?;
                if there & 1 != 0 {
                    *number = Some(take_number(bytes)?);
                }
                if there & 2 != 0 {
                    let len = usize::try_from(take_word(bytes)?).ok()?;
                    let (taken, rest) = bytes.split_at_checked(len)?;
                    (*text, *bytes) = (Some(taken.into()), rest);
                }
            }
            SoFar::Quantile { .. } | SoFar::Distinct { .. } => {}
        }
        Some(taken)
    }
}

fn put_word(out: &mut Vec<u8>, word: u64) {
    out.extend_from_slice(&word.to_le_bytes());
}

fn take_word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*word))
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(byte)
}

fn put_number(out: &mut Vec<u8>, number: Number) {
    let (sort, word) = match number {
        Number::Whole(whole) => (WHOLE, whole as u64),
        Number::Double(double) => (DOUBLE, double.to_bits()),
    };
    out.push(sort);
    put_word(out, word);
}

fn take_number(bytes: &mut &[u8]) -> Option<Number> {
    Some(match (take_byte(bytes)?, take_word(bytes)?) {
        (WHOLE, word) => Number::Whole(word as i64),
        (DOUBLE, word) => Number::Double(f64::from_bits(word)),
        _ => return None,
    })
}

fn put_sum(out: &mut Vec<u8>, sum: &ExactSum) {
    let (whole, doubles, has_doubles) = sum.parts();
    out.extend_from_slice(&whole.to_le_bytes());
    out.push(u8::from(has_doubles));
    for parts in doubles {
        put_word(out, parts.len() as u64);
        parts.iter().for_each(|part| put_word(out, part.to_bits()));
    }
}

fn take_sum(bytes: &mut &[u8]) -> Option<ExactSum> {
    let (whole, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    let has_doubles = take_byte(bytes)? != 0;
    let doubles = [take_doubles(bytes)?, take_doubles(bytes)?];
    Some(ExactSum::of_parts(i128::from_le_bytes(*whole), doubles, has_doubles))
}

fn take_doubles(bytes: &mut &[u8]) -> Option<Vec<f64>> {
    let count = usize::try_from(take_word(bytes)?).ok().filter(|count| *count <= bytes.len() / size_of::<f64>())?;
    (0..count).map(|_| take_word(bytes).map(f64::from_bits)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::FieldValue;

    #[test]
    fn what_was_stored_goes_on_as_if_it_had_not_been() {
        let values = [
            FieldValue::Number(b"7"),
            FieldValue::Number(b"0.1"),
            FieldValue::Text(b"b"),
            FieldValue::Number(b"1e300"),
            FieldValue::Nothing,
            FieldValue::Text(b"a"),
            FieldValue::Truth(true),
            FieldValue::Number(b"-1e300"),
            FieldValue::Number(b"9223372036854775807"),
        ];
        let words = ["count", "sum", "mean", "min", "max"].map(|word| AggregateKind::parse(word).unwrap());
        for kind in words.into_iter().chain([AggregateKind::Records]) {
            let (mut whole, mut stored) = (Aggregate::new(kind), Aggregate::new(kind));
            for value in values {
                whole.add(value);
                stored.add(value);
                let mut bytes = Vec::new();
                stored.put(&mut bytes);
                for cut in 0..bytes.len() {
                    assert!(Aggregate::take(kind, &mut &bytes[..cut]).is_none(), "{kind:?} cut to {cut}");
                }
                let mut rest = &bytes[..];
                stored = Aggregate::take(kind, &mut rest).unwrap();
                assert!(rest.is_empty());
            }
            let told = |mut aggregate: Aggregate| {
                let mut out = Vec::new();
                aggregate.write(&mut out);
                (String::from_utf8(out).unwrap(), aggregate.unfit())
            };
            assert_eq!(told(stored), told(whole), "{kind:?}");
        }
    }

    #[test]
    fn a_number_of_parts_that_cannot_be_there_takes_no_memory() {
        let mut bytes = Vec::new();
        put_word(&mut bytes, 0);
        bytes.extend_from_slice(&[0; 17]);
        put_word(&mut bytes, u64::MAX);
        assert!(Aggregate::take(AggregateKind::Sum, &mut &bytes[..]).is_none());
    }
}
