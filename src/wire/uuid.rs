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

#[cfg(test)]
mod tests {
    use super::Uuid;

    #[test]
    fn an_id_is_shown_as_kafka_shows_it() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        let bytes = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128.to_be_bytes();
        assert_eq!(Uuid(bytes).to_string(), "ASNFZ4mrze_-3LqYdlQyEA");
        assert_eq!(Uuid([0xff; 16]).to_string(), "_____________________w");
    }
}
