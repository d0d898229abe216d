//! What is said of a text that is no configuration.

use toml::de::Error;

/// Where it is wrong and what is wrong with it, without any value: one that stands in the wrong place may be a secret.
pub(super) fn told(error: &Error, text: &str) -> String {
    let what = without_value(error.message());
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {what}", before.matches('\n').count() + 1),
        None => what,
    }
}

/// Messages of serde show what they found: `invalid type: string "…", expected a sequence`.
fn without_value(message: &str) -> String {
    let shows = ["invalid type: ", "invalid value: ", "unknown variant "];
    let found = shows.into_iter().find_map(|start| Some((start, message.strip_prefix(start)?)));
    let (Some((start, found)), Some((_, expected))) = (found, message.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    // The kind of it is a word before what is in quotes.
    let kind = found.split(['"', '`', ',']).next().unwrap_or_default();
    let start = start.trim_end_matches([' ', ':']);
    let kind = if kind.trim().is_empty() { String::new() } else { format!(" ({})", kind.trim()) };
    format!("{start}{kind}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        for (message, wanted) in [
            (
                "invalid type: string \"CAN, expected ARY\", expected a sequence",
                "invalid type (string), expected a sequence",
            ),
            ("invalid type: integer `5`, expected a string", "invalid type (integer), expected a string"),
            (
                "unknown variant `CANARY`, expected `process` or `hold`",
                "unknown variant, expected `process` or `hold`",
            ),
            ("invalid type: map, expected a string", "invalid type (map), expected a string"),
            ("unknown field `retries`, expected one of `a`", "unknown field `retries`, expected one of `a`"),
        ] {
            assert_eq!(without_value(message), wanted);
        }
    }
}
