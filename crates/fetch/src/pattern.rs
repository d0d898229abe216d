use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::FetchError;

/// As in a shell: `*` stops at `/` and does not match a leading dot.
const AS_IN_A_SHELL: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A glob pattern for paths, cut into the folder that it begins in and what it says about the paths below.
///
/// The search itself is a [walk](crate::walk) of that folder: it yields the matches in the order of path bytes and in flat
/// memory, while `glob::glob` would hold whole folders and order them by path component.
#[derive(Clone, Debug)]
pub(crate) struct PathPattern {
    text: String,
    base: PathBuf,
    below: Pattern,
    parts: Vec<Pattern>,
    folders_only: bool,
}

impl PathPattern {
    /// Whether a text can be meant as a pattern.
    pub(crate) fn is_meant_by(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    pub(crate) fn parse(text: &str) -> Result<Self, FetchError> {
        pattern_of(text, text)?;
        let begin = text.split_inclusive('/').take_while(|part| !Self::is_meant_by(part)).map(str::len).sum();
        let (base, below) = text.split_at(begin);
        let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
        Ok(Self {
            text: text.to_owned(),
            base: PathBuf::from(base),
            below: pattern_of(&parts.join("/"), text)?,
            parts: parts.iter().map(|part| pattern_of(part, text)).collect::<Result<_, _>>()?,
            folders_only: text.ends_with('/'),
        })
    }

    /// The pattern as given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The folder that all matches lie in; empty for the working folder.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Whether the pattern matches what stands at `path` below the base.
    pub(crate) fn matches(&self, path: &Path, is_folder: bool) -> bool {
        // A name that is not UTF-8 is compared with replacement characters in it, which `*` and `?` match.
        (is_folder || !self.folders_only) && self.below.matches_with(&path.to_string_lossy(), AS_IN_A_SHELL)
    }

    /// Whether a folder of that name may hold matches; `depth` 0 is the base's own content.
    pub(crate) fn may_match_below(&self, depth: usize, name: &OsStr) -> bool {
        let reached = self.parts.get(..=depth).unwrap_or(&self.parts);
        if reached.iter().any(|part| part.as_str() == "**") {
            return true;
        }
        let more_to_match = depth + 1 < self.parts.len();
        let here = self.parts.get(depth).filter(|_| more_to_match);
        here.is_some_and(|part| part.matches_with(&name.to_string_lossy(), AS_IN_A_SHELL))
    }
}

fn pattern_of(text: &str, whole: &str) -> Result<Pattern, FetchError> {
    Pattern::new(text).map_err(|error| FetchError::BadPattern {
        pattern: whole.to_owned(),
        at: error.pos,
        reason: error.msg,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).expect("a pattern")
    }

    #[test]
    fn begins_in_the_last_folder_without_a_wildcard() {
        for (text, base) in
            [("*.x", ""), ("a/b/*.x", "a/b/"), ("/*/b", "/"), ("./a?/b/c", "./"), ("a/[b]", "a/")]
        {
            assert_eq!(pattern(text).base(), Path::new(base), "{text}");
        }
    }

    #[test]
    fn matches_as_a_shell_does() {
        let matches = |text: &str, path: &str| pattern(text).matches(Path::new(path), false);
        assert!(matches("a/*.x", "1.x"));
        assert!(!matches("a/*.x", "b/1.x"));
        assert!(!matches("*", ".hidden"));
        assert!(matches(".*", ".hidden"));
        assert!(matches("a/**/*.x", "1.x"));
        assert!(matches("a/**/*.x", "b/c/1.x"));
        assert!(!matches("*/", "file"));
        assert!(pattern("*/").matches(Path::new("folder"), true));
    }

    #[test]
    fn looks_only_where_matches_may_be() {
        let below = |text: &str, depth, name: &str| pattern(text).may_match_below(depth, OsStr::new(name));
        assert!(!below("*.x", 0, "a.x"));
        assert!(below("a*/*.x", 0, "ab"));
        assert!(!below("a*/*.x", 0, "b"));
        assert!(!below("a*/*.x", 1, "ab"));
        assert!(below("a*/**/*.x", 7, "anything"));
    }

    #[test]
    fn a_bad_pattern_says_where() {
        let error = PathPattern::parse("data/a**").expect_err("bad");
        assert!(matches!(error, FetchError::BadPattern { at: 5, .. }), "{error:?}");
        assert!(PathPattern::parse("data/[a").is_err());
    }
}
