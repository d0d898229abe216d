use crate::gaps::Strings;
use crate::lanes::{self, BLOCK, Brackets, Lanes, Work};

/// How long the object or array is that begins a text, if it is known already that it is sound JSON: nothing is looked at but
/// quotes and brackets, 64 bytes at a time. `None` if its end is not there.
///
/// Of what is no JSON it says anything. Whoever uses it has proven the text before, or proves what it finds.
///
/// ```
/// use fhirline_parse::sound_value_length;
///
/// assert_eq!(sound_value_length(br#"{"a":["}",{}]},{"b""#), Some(14));
/// assert_eq!(sound_value_length(br#"{"a":["}",{}]"#), None);
/// ```
#[must_use]
pub fn sound_value_length(text: &[u8]) -> Option<usize> {
    lanes::run(Length { text })
}

struct Length<'t> {
    text: &'t [u8],
}

impl Work for Length<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn by<L: Lanes>(self, lanes: L) -> Option<usize> {
        let (mut strings, mut depth) = (Strings::default(), 0);
        for base in (0..self.text.len()).step_by(BLOCK) {
            let block = lanes::at(self.text, base, |block| lanes.brackets(block));
            if let Some(at) = end_in(lanes, &mut strings, &mut depth, &block) {
                return Some(base + at + 1);
            }
        }
        None
    }
}

/// The place in a block where the value ends, or how deep it is behind the block.
#[inline(always)]
fn end_in(lanes: impl Lanes, strings: &mut Strings, depth: &mut u64, block: &Brackets) -> Option<usize> {
    let outside = !strings.within(lanes, block.quotes, block.backslashes);
    let (opens, closes) = (block.opens & outside, block.closes & outside);
    let (opened, closed) = (u64::from(opens.count_ones()), u64::from(closes.count_ones()));
    if *depth <= closed
        && let Some(at) = last_close(*depth, opens, closes)
    {
        return Some(at);
    }
    *depth = (*depth + opened).saturating_sub(closed);
    None
}

/// The place in a block of the bracket that closes the last one that is open.
fn last_close(mut depth: u64, opens: u64, closes: u64) -> Option<usize> {
    let mut ahead = opens | closes;
    while ahead != 0 {
        let at = ahead.trailing_zeros();
        ahead &= ahead - 1;
        if opens >> at & 1 == 1 {
            depth += 1;
        } else if depth <= 1 {
            return Some(at as usize);
        } else {
            depth -= 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::first_value;
    use crate::lanes::Baseline;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("1.5e3".to_owned()),
            Just("null".to_owned()),
            "[ -~]{0,90}".prop_map(|text| serde_json::to_string(&text).expect("a string")),
            r#"[\\"{}\[\]]{0,90}"#.prop_map(|text| serde_json::to_string(&text).expect("a string")),
        ];
        leaf.prop_recursive(6, 60, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec(inner, 0..5).prop_map(|items| {
                    let members: Vec<_> = items.iter().map(|item| format!("\"k]\\\"\": {item}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_as_long_as_the_walk_says(value in values(), rest in "[ -~]{0,80}") {
            let text = format!("[{value}]{rest}");
            let first = first_value(text.as_bytes()).expect("sound");
            prop_assert_eq!(sound_value_length(text.as_bytes()), Some(first.length));
            prop_assert_eq!(Length { text: text.as_bytes() }.by(Baseline), Some(first.length));
            for end in 0..first.length {
                prop_assert_eq!(sound_value_length(&text.as_bytes()[..end]), None);
            }
        }

        #[test]
        fn nothing_makes_it_fall(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let length = sound_value_length(&text);
            prop_assert!(length.is_none_or(|length| length <= text.len()));
            prop_assert_eq!(Length { text: &text }.by(Baseline), length);
        }
    }
}
