//! Numbers and the three literal names.

/// The offset behind the number that begins at `at`.
///
/// # Errors
/// The offset of the first byte that cannot stand there; the length of the text if the number is cut off.
pub(crate) fn number(text: &[u8], mut at: usize) -> Result<usize, usize> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match text.get(at) {
        // Nothing follows a leading zero but a fraction or an exponent; a digit there is refused by what comes next.
        Some(b'0') => at + 1,
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    Ok(at)
}

/// The offset behind the digits from `at` on, of which there must be one at least.
fn digits(text: &[u8], at: usize) -> Result<usize, usize> {
    let count = text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(at) } else { Ok(at + count) }
}

/// The offset behind `name`, which must stand at `at`.
///
/// # Errors
/// The offset of the first byte that differs; the length of the text if it ends before the name does.
pub(crate) fn literal(text: &[u8], at: usize, name: &[u8]) -> Result<usize, usize> {
    let rest = text.get(at..).unwrap_or_default();
    let same = rest.iter().zip(name).take_while(|(byte, wanted)| byte == wanted).count();
    if same == name.len() { Ok(at + same) } else { Err(at + same) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_behind_their_last_byte() {
        for (text, end) in [
            ("0", 1),
            ("-0", 2),
            ("7", 1),
            ("120", 3),
            ("1.00", 4),
            ("0.5", 3),
            ("1E2", 3),
            ("1e+2", 4),
            ("-1.5e-09", 8),
            ("01", 1),
            ("1-2", 1),
            ("1.2.3", 3),
            ("12,", 2),
        ] {
            assert_eq!(number(text.as_bytes(), 0), Ok(end), "{text}");
        }
        let huge = format!("-{}.{}e{}", "9".repeat(400), "0".repeat(400), "9".repeat(400));
        assert_eq!(number(huge.as_bytes(), 0), Ok(huge.len()));
    }

    #[test]
    fn numbers_name_the_first_byte_that_cannot_stand_there() {
        let faulty = ["-", "-a", "--1", "1.", "1.e", ".5", "1e", "1e+", "1e+x", "+1"];
        let at = [1, 1, 1, 2, 2, 0, 2, 3, 3, 0];
        for (text, at) in faulty.into_iter().zip(at) {
            assert_eq!(number(text.as_bytes(), 0), Err(at), "{text}");
        }
    }

    #[test]
    fn literals_match_whole() {
        assert_eq!(literal(b"[true]", 1, b"true"), Ok(5));
        assert_eq!(literal(b"nul", 0, b"null"), Err(3));
        assert_eq!(literal(b"nULL", 0, b"null"), Err(1));
        assert_eq!(literal(b"", 0, b"null"), Err(0));
    }
}
