/// Most characters of a URL that are shown.
const SHOWN_CHARACTERS: usize = 512;

/// A URL as it may be shown: without query (it may hold a signature), without user, without control characters, not
/// endless.
///
/// ```
/// assert_eq!(fhirline_fetch::shown("https://user:key@host/a/b?signature=1"), "https://host/a/b");
/// ```
#[must_use]
pub fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let url = if scheme.is_empty() { url.to_owned() } else { format!("{scheme}://{host}{path}") };
    url.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_urls_hold_no_secrets() {
        assert_eq!(shown("https://user:key@host/a/b?sig=1#f"), "https://host/a/b");
        assert_eq!(shown("https://host?token=a@b/c"), "https://host");
        assert_eq!(shown("a\u{1b}[31m?x"), "a\u{FFFD}[31m");
        assert_eq!(shown(&"x".repeat(10_000)).len(), SHOWN_CHARACTERS);
    }
}
