//! How the line begins that is being read: its indentation, and what stands right behind that.

use std::num::NonZeroU8;

/// White space that is longer before an element is nothing to go by.
const LONGEST_INDENT: u8 = 64;

/// The white space before the first thing on a line: spaces and tabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Indent {
    /// Its length and one: never 0, so that there is room in it to say that there is none.
    column: NonZeroU8,
    /// One bit a byte, the first byte lowest: whether it is a tab.
    tabs: u64,
}

impl Default for Indent {
    fn default() -> Self {
        Self { column: NonZeroU8::MIN, tabs: 0 }
    }
}

impl Indent {
    /// How many bytes of white space.
    pub(crate) fn length(self) -> u8 {
        self.column.get() - 1
    }

    /// Whether a line with it begins in column 0.
    pub(crate) fn is_empty(self) -> bool {
        self.length() == 0
    }

    /// With that white space behind it, unless that is too long.
    #[inline]
    fn and_all(self, blank: &[u8]) -> Option<Self> {
        let length = u8::try_from(blank.len()).ok()?.checked_add(self.length())?;
        if length > LONGEST_INDENT {
            return None;
        }
        let tab = |(at, &byte)| u64::from(byte == b'\t') << at;
        let tabs = self.tabs | (self.length()..).zip(blank).map(tab).fold(0, |tabs, tab| tabs | tab);
        Some(Self { column: NonZeroU8::new(length + 1)?, tabs })
    }

    /// With one more byte behind it, unless that is too long.
    fn and(self, byte: u8) -> Option<Self> {
        const { assert!(LONGEST_INDENT as u32 == u64::BITS, "one bit a byte") };
        let tab = u64::from(byte == b'\t').checked_shl(u32::from(self.length()))?;
        Some(Self { column: self.column.checked_add(1)?, tabs: self.tabs | tab })
    }

    /// As one word: how long it is, and which of its bytes are tabs.
    pub(crate) fn code(indent: Option<Self>) -> String {
        indent.map_or("none".to_owned(), |indent| format!("{}.{:x}", indent.length(), indent.tabs))
    }

    /// Of that [`code`](Self::code).
    pub(crate) fn from_code(word: &str) -> Option<Option<Self>> {
        if word == "none" {
            return Some(None);
        }
        let (length, tabs) = word.split_once('.')?;
        let (length, tabs) = (length.parse::<u8>().ok()?, u64::from_str_radix(tabs, 16).ok()?);
        let is_one = length <= LONGEST_INDENT && tabs.checked_shr(u32::from(length)).unwrap_or(0) == 0;
        let column = NonZeroU8::new(length.checked_add(1)?)?;
        is_one.then_some(Some(Self { column, tabs }))
    }
}

/// What is known of the line that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// There is nothing on it but that.
    Begun(Indent),
    /// There is nothing behind that but the end of an object.
    Brace(Indent),
    /// There is nothing behind that but the end of an object, and a comma.
    Comma(Indent),
    /// There is nothing behind that but the end of an array.
    Closing(Indent, Closing),
    /// There is nothing behind that but the end of an object, and that of an array.
    ClosingBoth(Indent, Closing),
    Other,
}

/// How the end of an array is written that has a line of its own, or shares it with the end of its last element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// `]`
    Alone,
    /// `],`
    WithComma,
    /// `]}`
    WithObject,
}

impl Closing {
    /// With one more byte behind it.
    fn and(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Alone, b',') => Some(Self::WithComma),
            (Self::Alone, b'}') => Some(Self::WithObject),
            (_, b'\r') => Some(self),
            _ => None,
        }
    }
}

impl Line {
    pub(crate) fn of(indent: Option<Indent>) -> Self {
        indent.map_or(Self::Other, Self::Begun)
    }

    /// Its indentation, if there is nothing else on it.
    pub(crate) fn begun(self) -> Option<Indent> {
        match self {
            Self::Begun(indent) => Some(indent),
            _ => None,
        }
    }

    /// The line on which a text ends that this one comes before, if the next element may still begin on it.
    #[inline]
    pub(crate) fn behind(self, text: &[u8], is_one_line: bool) -> Self {
        self.and_indent_behind(None, text, is_one_line).0
    }

    /// The same, and the indentation of that line, whatever else there is on it; `indent` is that of this one.
    #[inline]
    pub(crate) fn and_indent_behind(
        self,
        indent: Option<Indent>,
        text: &[u8],
        is_one_line: bool,
    ) -> (Self, Option<Indent>) {
        let (begun, tail) = match (is_one_line, self.begun()) {
            (true, None) => return (self.and_all(text), indent),
            (true, Some(begun)) => (begun, text),
            // White space between elements, mostly.
            (false, _)
                if let [b'\n', tail @ ..] = text
                    && tail.iter().all(|&byte| byte == b' ') =>
            {
                let indent = Indent::default().and_all(tail);
                return (Self::of(indent), indent);
            }
            (false, _) => {
                let line = memchr::memrchr(b'\n', text).map_or(0, |line_end| line_end + 1);
                (Indent::default(), &text[line..])
            }
        };
        let blank = tail.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let indent = begun.and_all(&tail[..blank]);
        (Self::of(indent).and_all(&tail[blank..]), indent)
    }

    /// With those bytes behind it, none of which is a line end, if the next element may still begin on it.
    #[inline]
    fn and_all(self, text: &[u8]) -> Self {
        let mut line = self;
        for &byte in text {
            line = line.and(byte);
            if matches!(line, Self::Other | Self::Closing(..) | Self::ClosingBoth(..)) {
                return Self::Other;
            }
        }
        line
    }

    /// With one more byte behind it, which is no line end.
    #[inline]
    pub(crate) fn and(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Begun(indent), b' ' | b'\t') => Self::of(indent.and(byte)),
            (Self::Begun(indent), b'}') => Self::Brace(indent),
            (Self::Begun(indent), b']') => Self::Closing(indent, Closing::Alone),
            (Self::Brace(_) | Self::Comma(_), b' ' | b'\t') => self,
            (Self::Brace(indent), b',') => Self::Comma(indent),
            (Self::Brace(indent), b']') => Self::ClosingBoth(indent, Closing::Alone),
            (Self::Closing(indent, closing), _) => {
                closing.and(byte).map_or(Self::Other, |closing| Self::Closing(indent, closing))
            }
            (Self::ClosingBoth(indent, closing), _) => {
                closing.and(byte).map_or(Self::Other, |closing| Self::ClosingBoth(indent, closing))
            }
            _ => Self::Other,
        }
    }

    /// As one word, where the next element may still begin on it.
    pub(crate) fn code(self) -> String {
        match self {
            Self::Begun(indent) => Indent::code(Some(indent)),
            Self::Brace(indent) => format!("{}}}", Indent::code(Some(indent))),
            Self::Comma(indent) => format!("{}}},", Indent::code(Some(indent))),
            Self::Closing(..) | Self::ClosingBoth(..) | Self::Other => Indent::code(None),
        }
    }

    /// Of that [`code`](Self::code).
    pub(crate) fn from_code(word: &str) -> Option<Self> {
        let (word, begun): (_, fn(Indent) -> Self) = match (word.strip_suffix("},"), word.strip_suffix('}')) {
            (Some(word), _) => (word, Self::Comma),
            (None, Some(word)) => (word, Self::Brace),
            (None, None) => return Indent::from_code(word).map(Self::of),
        };
        Indent::from_code(word)?.map(begun)
    }
}

#[inline]
pub(crate) fn line_ends_in(text: &[u8]) -> u64 {
    /// Most of what is taken is syntax: a call of `memchr` takes longer than so few bytes.
    const FEW: usize = 16;
    if text.len() <= FEW {
        return text.iter().map(|&byte| u64::from(byte == b'\n')).sum();
    }
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indent(text: &str) -> Indent {
        line(text).begun().expect("an indentation")
    }

    /// The line on which a text ends that begins one.
    fn line(text: &str) -> Line {
        behind(Line::Begun(Indent::default()), text.as_bytes())
    }

    fn behind(line: Line, text: &[u8]) -> Line {
        line.behind(text, !text.contains(&b'\n'))
    }

    #[test]
    fn an_indentation_is_the_same_at_every_cut() {
        for (text, wanted) in [
            ("", None),
            ("\n", Some("")),
            ("{ \n \t ", Some(" \t ")),
            ("\n  x", None),
            ("x  ", None),
            ("\r\n\t\t", Some("\t\t")),
            ("\n \r ", None),
        ] {
            let wanted = wanted.map(indent);
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                let line = behind(behind(Line::Other, first), second);
                assert_eq!(line.begun(), wanted, "{text:?} at {cut}");
            }
        }
        let long = |bytes: usize| format!("\n{}", "\t".repeat(bytes));
        assert!(behind(Line::Other, long(64).as_bytes()).begun().is_some());
        for bytes in [65, 66, 1000] {
            let text = long(bytes);
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                assert_eq!(behind(behind(Line::Other, first), second), Line::Other);
            }
        }
    }

    #[test]
    fn a_line_between_elements_is_the_same_at_every_cut() {
        let at = indent("  ");
        for (text, wanted) in [
            ("\n  }", Line::Brace(at)),
            ("\n  } \t,", Line::Comma(at)),
            ("x\r\n  }, ", Line::Comma(at)),
            ("\n  },\t ", Line::Comma(at)),
            ("\n  }}, ", Line::Other),
            ("\n  },, ", Line::Other),
            ("\n  ,", Line::Other),
            ("\n  }, {", Line::Other),
            ("\n  } ]", Line::Other),
            ("\n x }, ", Line::Other),
        ] {
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                assert_eq!(behind(behind(Line::Other, first), second), wanted, "{text:?} at {cut}");
            }
        }
    }

    #[test]
    fn a_line_is_found_again_in_its_code() {
        for text in ["", "\t ", "}", " \t}", "},", "    } , ", "x"] {
            assert_eq!(Line::from_code(&line(text).code()), Some(line(text)), "{text:?}");
        }
        for bad in ["", "}", "},", "none}", "none},", "2.0,", "2.0}}", "2.0},x"] {
            assert_eq!(Line::from_code(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_indentation_is_found_again_in_its_code() {
        for text in ["", " ", "\t", " \t\t ", &"\t".repeat(64), &" ".repeat(64)] {
            let code = Indent::code(Some(indent(text)));
            assert_eq!(Indent::from_code(&code), Some(Some(indent(text))), "{code}");
        }
        assert_eq!(Indent::from_code("none"), Some(None));
        for bad in ["", "4", "4.", ".0", "65.0", "1.2", "0.1", "-1.0", "1.x"] {
            assert_eq!(Indent::from_code(bad), None, "{bad}");
        }
    }
}
