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
    // Nearly all numbers are up to sixteen digits without a sign: eight at a time.
    let short = match text.len() {
        1..=8 => eight_digits(text),
        9..=16 => {
            let (high, low) = text.split_at(text.len() - 8);
            eight_digits(high).zip(eight_digits(low)).map(|(high, low)| high * 100_000_000 + low)
        }
        _ => None,
    };
    match short {
        Some(number) => Ok(number as i64),
        None => parse_any_int(text),
    }
}

/// One to eight digits, all at once: neighbours are joined to numbers below 100, those to numbers below 10,000, and those to
/// the whole. `None` if one is no digit.
#[inline(always)]
fn eight_digits(text: &[u8]) -> Option<u64> {
    let missing = 8 * (8 - text.len() as u32);
    let word = match text.len() {
        8 => u64::from_le_bytes(*text.first_chunk()?),
        4..8 => {
            let (first, last) = (u32::from_le_bytes(*text.first_chunk()?), u32::from_le_bytes(*text.last_chunk()?));
            (u64::from(first) << missing) | (u64::from(last) << 32)
        }
        2 | 3 => {
            let (first, last) = (u16::from_le_bytes(*text.first_chunk()?), u16::from_le_bytes(*text.last_chunk()?));
            (u64::from(first) << missing) | (u64::from(last) << 48)
        }
        _ => u64::from(*text.first()?) << 56,
    };
    // Zeros stand for the digits that are not there.
    let word = word | 0x3030_3030_3030_3030 & ((1 << missing) - 1);
    let digits = word ^ 0x3030_3030_3030_3030;
    // A byte above 9 has its high half set, or gets it by adding 6.
    if (digits | (digits.wrapping_add(0x0606_0606_0606_0606))) & 0xf0f0_f0f0_f0f0_f0f0 != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

fn parse_any_int(text: &[u8]) -> Result<i64, NumberError> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() {
        return Err(if text.is_empty() { NumberError::Empty } else { NumberError::NoInt });
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

    #[test]
    fn eight_digits_at_a_time_and_one_at_a_time_read_the_same() {
        let numbers = (0..20).flat_map(|power| {
            let ten = 10u64.saturating_pow(power);
            [ten - 1, ten, ten + 7, ten / 3 * 2]
        });
        for number in numbers {
            for text in [number.to_string(), format!("0{number}"), format!("-{number}"), format!("+{number}")] {
                assert_eq!(parse_int(text.as_bytes()), parse_any_int(text.as_bytes()), "{text}");
                // Any one byte that is no digit spoils it, wherever it stands.
                for at in 0..text.len() {
                    for strange in [b'/', b':', b' ', b'x', 0, 0x7f, 0xb5, 0xff, b'-'] {
                        let mut bytes = text.clone().into_bytes();
                        bytes[at] = strange;
                        assert_eq!(parse_int(&bytes), parse_any_int(&bytes), "{bytes:?}");
                    }
                }
            }
        }
        assert_eq!(parse_int(b""), Err(NumberError::Empty));
    }
}
