//! Kafka's ids of topics and directories.

/// Sixteen bytes, shown as Kafka shows them: URL-safe base64 without padding. All zero means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// No id.
    pub const ZERO: Self = Self([0; 16]);

    /// Whether it stands for no id.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl std::fmt::Display for Uuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let number = u128::from_be_bytes(self.0);
        // 21 digits of six bits, and the last two bits as the upper ones of a 22nd.
        let mut text = String::with_capacity(22);
        for shift in (0..21).map(|digit| 122 - 6 * digit) {
            text.push(char::from(DIGITS[(number >> shift & 63) as usize]));
        }
        text.push(char::from(DIGITS[((number & 3) << 4) as usize]));
        f.write_str(&text)
    }
}

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: 22 digits of URL-safe base64, without padding")]
pub struct UuidError;

impl std::str::FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let digit = |byte: u8| match byte {
            b'A'..=b'Z' => Some(byte - b'A'),
            b'a'..=b'z' => Some(byte - b'a' + 26),
            b'0'..=b'9' => Some(byte - b'0' + 52),
            b'-' => Some(62),
            b'_' => Some(63),
            _ => None,
        };
        let digits: Vec<u8> = text.bytes().map(digit).collect::<Option<_>>().ok_or(UuidError)?;
        let [first @ .., last] = digits.as_slice() else { return Err(UuidError) };
        // The last digit has room for two bits only; what else stands there would be lost.
        if first.len() != 21 || last & 0b1111 != 0 {
            return Err(UuidError);
        }
        let number = first.iter().fold(0_u128, |number, digit| number << 6 | u128::from(*digit));
        Ok(Self((number << 2 | u128::from(last >> 4)).to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::Uuid;

    #[test]
    fn an_id_is_read_as_it_is_shown_and_nothing_else_is() {
        for bytes in [[0; 16], [0xff; 16], 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128.to_be_bytes()] {
            assert_eq!(Uuid(bytes).to_string().parse(), Ok(Uuid(bytes)));
        }
        for wrong in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAA+A", "é"] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_is_shown_as_kafka_shows_it() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        let bytes = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128.to_be_bytes();
        assert_eq!(Uuid(bytes).to_string(), "ASNFZ4mrze_-3LqYdlQyEA");
        assert_eq!(Uuid([0xff; 16]).to_string(), "_____________________w");
    }
}
