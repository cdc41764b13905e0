//! Numbers read from their text, exactly.

/// The most significant digits a decimal may have: what fits any database's widest decimal.
pub(super) const DIGITS_MAX: usize = 38;
/// Exponents beyond this are refused. It leaves the sign and the exponent two bytes of a normalised key.
const EXPONENT_MAX: u64 = 0x3fff;

/// Why a text is no such number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NumberError {
    #[error("it is empty")]
    Empty,
    #[error("not decimal digits with an optional sign")]
    NoInt,
    #[error("not a decimal number")]
    NoDecimal,
    #[error("not a whole number")]
    NotWhole,
    #[error("beyond 64 bits")]
    Beyond64Bits,
    #[error("more than 38 significant digits")]
    Digits,
    #[error("its size is not within 1e-16384 and 1e16383")]
    Exponent,
}

/// A decimal: 0.d1 d2 d3 ... times ten to the exponent. No digits is zero; else the first and the last are not zero, so
/// that every number has one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) negative: bool,
    pub(crate) exponent: i16,
    digits: [u8; DIGITS_MAX],
    len: usize,
}

impl Decimal {
    /// The significant digits, 0 to 9 each.
    pub(crate) fn digits(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    /// Reads `[+-]digits[.digits][e[+-]digits]`; JSON's numbers are a part of these.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, NumberError> {
        if text.is_empty() {
            return Err(NumberError::Empty);
        }
        let (negative, text) = split_sign(text);
        let (whole, text) = split_digits(text);
        // `1.` and `.5` are no decimals anywhere a record is likely to come from.
        let (fraction, text) = match text.strip_prefix(b".").map(split_digits) {
            Some(([], _)) => return Err(NumberError::NoDecimal),
            Some(split) => split,
            None => (&[][..], text),
        };
        if whole.is_empty() {
            return Err(NumberError::NoDecimal);
        }
        let written = match text.split_first() {
            None => 0,
            Some((b'e' | b'E', tail)) => parse_exponent(tail)?,
            Some(_) => return Err(NumberError::NoDecimal),
        };
        Self::assemble(negative, whole, fraction, written)
    }

    fn assemble(negative: bool, whole: &[u8], fraction: &[u8], written: i64) -> Result<Self, NumberError> {
        let mut decimal = Self { negative, exponent: 0, digits: [0; DIGITS_MAX], len: 0 };
        let mut zeros_pending = 0;
        let mut zeros_leading = 0i64;
        for digit in whole.iter().chain(fraction).map(|byte| byte - b'0') {
            if digit == 0 {
                if decimal.len == 0 {
                    zeros_leading += 1
                } else {
                    zeros_pending += 1
                }
                continue;
            }
            let at = decimal.len + zeros_pending; // the digits between are zero already
            *decimal.digits.get_mut(at).ok_or(NumberError::Digits)? = digit;
            (decimal.len, zeros_pending) = (at + 1, 0);
        }
        if decimal.len == 0 {
            decimal.negative = false;
            return Ok(decimal);
        }
        let exponent = (whole.len() as i64 - zeros_leading).saturating_add(written);
        if exponent.unsigned_abs() > EXPONENT_MAX {
            return Err(NumberError::Exponent);
        }
        decimal.exponent = exponent as i16;
        Ok(decimal)
    }

    /// The number as an integer, if it is whole.
    pub(crate) fn to_i64(self) -> Result<i64, NumberError> {
        let len = i16::try_from(self.len).unwrap_or(i16::MAX);
        if len > self.exponent.max(0) {
            return Err(NumberError::NotWhole);
        }
        if self.exponent > 19 && len > 0 {
            return Err(NumberError::Beyond64Bits);
        }
        // At most 19 digits: far within 128 bits.
        let digits = self.digits().iter().map(|digit| i128::from(*digit)).chain(std::iter::repeat(0));
        let size = digits.take(self.exponent.max(0) as usize).fold(0, |number, digit| number * 10 + digit);
        i64::try_from(if self.negative { -size } else { size }).map_err(|_| NumberError::Beyond64Bits)
    }
}

/// Reads decimal digits with an optional sign.
#[inline]
pub(crate) fn parse_int(text: &[u8]) -> Result<i64, NumberError> {
    match short_int(text) {
        Some(number) => Ok(number),
        None => parse_any_int(text),
    }
}

/// The quick way for nearly all numbers: one to nineteen digits without a sign. `None` says nothing of others.
#[inline(always)]
pub(super) fn short_int(text: &[u8]) -> Option<i64> {
    match text.len() {
        8..=16 => sixteen_digits(text),
        1..=7 => seven_digits(text),
        17..=19 => nineteen_digits(text),
        _ => None,
    }
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Eight to sixteen digits: the last eight, and before them what is left of the first eight.
#[inline(always)]
fn sixteen_digits(text: &[u8]) -> Option<i64> {
    let first = u64::from_le_bytes(*text.first_chunk()?) ^ ZEROS;
    let last = u64::from_le_bytes(*text.last_chunk()?) ^ ZEROS;
    // Twice half of it: it may be all 64 bits. Zeros come in for the digits that are not there.
    let half = 4 * (16 - text.len() as u32);
    let first = (first << half) << half;
    if (no_digit(first) | no_digit(last)) & HIGH_HALVES != 0 {
        return None;
    }
    Some((joined(first) * 100_000_000 + joined(last)) as i64)
}

/// Seventeen to nineteen digits, of which only the last few numbers are beyond 64 bits.
#[inline(never)]
fn nineteen_digits(text: &[u8]) -> Option<i64> {
    let (first, last) = text.split_last_chunk::<16>()?;
    let (first, last) = (seven_digits(first)?, sixteen_digits(last)?);
    first.checked_mul(10_000_000_000_000_000)?.checked_add(last)
}

/// One to seven digits.
#[inline(always)]
fn seven_digits(text: &[u8]) -> Option<i64> {
    let missing = 8 * (8 - text.len() as u32);
    let word = if text.len() >= 4 {
        let (first, last) = (u32::from_le_bytes(*text.first_chunk()?), u32::from_le_bytes(*text.last_chunk()?));
        (u64::from(first) << missing) | (u64::from(last) << 32)
    } else {
        // The first, the middle and the last one, which may be the same.
        let (first, middle, last) = (text.first()?, text.get(text.len() / 2)?, text.last()?);
        (u64::from(*first) << missing)
            | (u64::from(*middle) << (64 - 8 * (text.len() - text.len() / 2)))
            | (u64::from(*last) << 56)
    };
    let digits = (word ^ ZEROS) & (u64::MAX << missing);
    (no_digit(digits) & HIGH_HALVES == 0).then(|| joined(digits) as i64)
}

const HIGH_HALVES: u64 = 0xf0f0_f0f0_f0f0_f0f0;

/// Has a bit in the high half of some byte, unless all are 0 to 9: a byte above 9 has its high half set, or gets it by adding 6.
#[inline(always)]
fn no_digit(digits: u64) -> u64 {
    digits | digits.wrapping_add(0x0606_0606_0606_0606)
}

/// Eight digits, the first one lowest: neighbours are joined to numbers below 100, those to numbers below 10,000, and those to
/// the whole. Each multiplication adds the left one, times ten to something, to the right one, above which the rest is cut off.
#[inline(always)]
fn joined(digits: u64) -> u64 {
    let pairs = (digits.wrapping_mul(10 * 0x100 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 * 0x1_0000 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 * 0x1_0000_0000 + 1) >> 32
}

fn parse_any_int(text: &[u8]) -> Result<i64, NumberError> {
    let (negative, digits) = split_sign(text);
    // The same quick way behind a sign.
    match short_int(digits) {
        Some(number) => Ok(if negative { -number } else { number }),
        None => parse_digit_by_digit(negative, digits, text.is_empty()),
    }
}

fn parse_digit_by_digit(negative: bool, digits: &[u8], empty: bool) -> Result<i64, NumberError> {
    if digits.is_empty() {
        return Err(if empty { NumberError::Empty } else { NumberError::NoInt });
    }
    let mut number = 0i64;
    let mut fits = true;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NumberError::NoInt);
        }
        // Downwards, because there is one number more below zero than above.
        match number.checked_mul(10).and_then(|tens| tens.checked_sub(i64::from(digit))) {
            Some(next) => number = next,
            None => fits = false,
        }
    }
    let number = if negative { Some(number) } else { number.checked_neg() };
    number.filter(|_| fits).ok_or(NumberError::Beyond64Bits)
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', tail)) => (true, tail),
        Some((b'+', tail)) => (false, tail),
        _ => (false, text),
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn parse_exponent(text: &[u8]) -> Result<i64, NumberError> {
    match parse_int(text) {
        Ok(exponent) => Ok(exponent),
        // Enormous; if the number is not zero the sum will be refused.
        Err(NumberError::Beyond64Bits) => Ok(if text.first() == Some(&b'-') { i64::MIN } else { i64::MAX }),
        Err(_) => Err(NumberError::NoDecimal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    /// The rule, spelled out: a sign, then digits, one at a time.
    fn slowly(text: &[u8]) -> Result<i64, NumberError> {
        let (negative, digits) = split_sign(text);
        parse_digit_by_digit(negative, digits, text.is_empty())
    }

    fn assert_read_the_same(text: &[u8]) {
        assert_eq!(parse_int(text), slowly(text), "{:?}", String::from_utf8_lossy(text));
    }

    #[test]
    fn many_digits_at_a_time_and_one_at_a_time_read_the_same() {
        assert_eq!(slowly(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_int(b""), Err(NumberError::Empty));
        let numbers = (0..20).flat_map(|power| {
            let ten = 10u64.saturating_pow(power);
            [ten - 1, ten, ten + 7, ten / 3 * 2]
        });
        for number in numbers {
            for text in [number.to_string(), format!("0{number}"), format!("-{number}"), format!("+{number}")] {
                assert_read_the_same(text.as_bytes());
            }
        }
    }

    #[test]
    fn numbers_of_every_length_with_any_byte_in_any_place_read_the_same_both_ways() {
        let seed = rand::random();
        eprintln!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        for len in 0..=40 {
            for sign in ["", "-", "+", "--", "+-"] {
                let mut text = sign.as_bytes().to_vec();
                text.extend((0..len).map(|_| random.random_range(b'0'..=b'9')));
                // A zero first, and nothing but nines, too.
                for leading in [None, Some(b'0'), Some(b'9')] {
                    if let Some(leading) = leading {
                        let half = if leading == b'9' { len } else { len / 2 };
                        text[sign.len()..sign.len() + half].fill(leading);
                    }
                    assert_read_the_same(&text);
                }
                for at in 0..text.len() {
                    let kept = text[at];
                    for byte in 0..=u8::MAX {
                        text[at] = byte;
                        assert_read_the_same(&text);
                    }
                    text[at] = kept;
                }
            }
        }
        for _ in 0..20_000 {
            let text: Vec<u8> = (0..random.random_range(0..24))
                .map(|_| *b"0123456789/:-+ \xb0\xb9\xff\0".get(random.random_range(0..20)).unwrap_or(&b'7'))
                .collect();
            assert_read_the_same(&text);
        }
    }
}
