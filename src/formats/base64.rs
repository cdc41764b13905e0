//! Base64 (RFC 4648, the standard alphabet, padded): how bytes that are no text travel in JSON.
//!
//! Reading is strict: no line breaks, no other alphabet, padding in its place and no bits left over; so each sequence of
//! bytes has one text only.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NONE: u8 = 0xff;
const DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut digits = [NONE; 256];
    let mut i = 0;
    while i < 64 {
        digits[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    digits
}

/// Appends `bytes` as text.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        let digit = |place: u32| ALPHABET[(word >> (18 - 6 * place) & 63) as usize];
        out.extend_from_slice(&[digit(0), digit(1), digit(2), digit(3)]);
        let text = out.len();
        out[text - 3 + chunk.len()..].fill(b'=');
    }
}

/// Appends the bytes that `text` stands for; `None`, and nothing useful appended, if it stands for none.
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    out.reserve(text.len() / 4 * 3);
    let mut chunks = text.chunks_exact(4).peekable();
    while let Some(chunk) = chunks.next() {
        let padding = match (chunks.peek().is_none(), chunk) {
            (true, [_, _, b'=', b'=']) => 2,
            (true, [_, _, _, b'=']) => 1,
            _ => 0,
        };
        let mut word = 0;
        for &byte in &chunk[..4 - padding] {
            let digit = DIGITS[usize::from(byte)];
            if digit == NONE {
                return None;
            }
            word = word << 6 | u32::from(digit);
        }
        word <<= 6 * padding;
        let [_, bytes @ ..] = word.to_be_bytes();
        let (bytes, left_over) = bytes.split_at(3 - padding);
        if left_over.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(bytes);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        encode(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn bytes(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, encoded) in vectors {
            assert_eq!(text(plain.as_bytes()), encoded);
            assert_eq!(bytes(encoded).as_deref(), Some(plain.as_bytes()));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&text(&all)), Some(all));
    }

    #[test]
    fn what_is_not_exactly_base64_is_refused() {
        for wrong in [
            "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zg==Zg==", "=Zg=", "Z===", "====", "Zm 9", "Zm9\n", "Zm_v",
            "Zm-v",
        ] {
            assert_eq!(bytes(wrong), None, "{wrong:?}");
        }
    }
}
