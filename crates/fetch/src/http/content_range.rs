/// What a `Content-Range` header says (RFC 9110, section 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentRange {
    /// `bytes FIRST-LAST/TOTAL`, or `*` for an unknown total.
    Part { first: u64, total: Option<u64> },
    /// `bytes */TOTAL`: there is no such range.
    Unsatisfied { total: u64 },
}

impl ContentRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (unit, range) = text.trim().split_once(' ')?;
        let (part, total) = range.trim().split_once('/')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        if part == "*" {
            return Some(Self::Unsatisfied { total: number(total)? });
        }
        let (first, last) = part.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let total = if total == "*" { None } else { Some(number(total)?) };
        let fits = first <= last && total.is_none_or(|total| last < total);
        fits.then_some(Self::Part { first, total })
    }
}

/// A number of digits only: `u64::from_str` would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::ContentRange::{Part, Unsatisfied};
    use super::*;

    #[test]
    fn ranges_and_totals() {
        for (text, range) in [
            ("bytes 0-0/9", Some(Part { first: 0, total: Some(9) })),
            ("Bytes 3-8/9", Some(Part { first: 3, total: Some(9) })),
            ("bytes 3-8/*", Some(Part { first: 3, total: None })),
            ("bytes */9", Some(Unsatisfied { total: 9 })),
            ("bytes */*", None),
            ("bytes 3-9/9", None),
            ("bytes 4-3/9", None),
            ("bytes +3-4/9", None),
            ("bytes 3-/9", None),
            ("items 0-0/9", None),
            ("bytes=0-0/9", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(text), range, "{text}");
        }
    }
}
