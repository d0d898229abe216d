use wide::u8x16;

/// Bytes looked at in one step.
const BLOCK: usize = 16;

/// Bytes of white space, in the sense of JSON, at the front of a text.
///
/// ```
/// assert_eq!(fhirline_parse::blank_length(b" \r\n\t\x0B"), 4);
/// ```
#[must_use]
#[inline]
pub fn blank_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let here = blank_bits(block).trailing_ones() as usize;
        at += here;
        if here < BLOCK {
            return at;
        }
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// Which bytes are white space: one bit each, the first byte's lowest.
#[inline]
fn blank_bits(block: &[u8; BLOCK]) -> u32 {
    let bytes = u8x16::new(*block);
    let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    (is(b' ') | is(b'\t') | is(b'\n') | is(b'\r')).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_white_space_is_counted_and_nothing_else() {
        for spaces in 0..40 {
            for odd in ["", "\n", "\r\n\t", "\t       "] {
                for end in ["", "\u{b}", "\u{a0}", "x", "\u{21}        "] {
                    for blank in
                        [format!("{odd}{}", " ".repeat(spaces)), format!("{}{odd} ", " ".repeat(spaces))]
                    {
                        assert_eq!(blank_length(format!("{blank}{end}").as_bytes()), blank.len());
                    }
                }
            }
        }
    }
}
