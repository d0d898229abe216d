//! How lines are indented, and where by that the next element begins behind a broken one.

/// White space that is longer before an element is nothing to go by.
const LONGEST_INDENT: u8 = 64;

/// The white space before the first thing on a line: spaces and tabs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Indent {
    length: u8,
    /// One bit a byte, the first byte lowest: whether it is a tab.
    tabs: u64,
}

impl Indent {
    /// Whether a line with it begins in column 0.
    pub(crate) fn is_empty(self) -> bool {
        self.length == 0
    }

    /// The indentation of the line on which a text ends, if there is nothing else on that line yet; `before` is that before
    /// the text.
    #[inline]
    pub(crate) fn behind(before: Option<Self>, text: &[u8]) -> Option<Self> {
        let backwards = text.iter().rev().take(usize::from(LONGEST_INDENT) + 1);
        let blank = backwards.take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let (head, tail) = text.split_at(text.len() - blank);
        let begun = match head.last() {
            None => before?,
            Some(b'\n') => Self::default(),
            Some(_) => return None,
        };
        tail.iter().try_fold(begun, |indent, &byte| indent.and(byte))
    }

    /// The indentation of the line on which a text ends, whatever else there is on it. `before` is that before the text, and
    /// `begun` too if there was nothing else on the line there.
    #[inline]
    pub(crate) fn of_line(
        before: Option<Self>,
        begun: Option<Self>,
        text: &[u8],
        is_one_line: bool,
    ) -> Option<Self> {
        let (begun, tail) = match (is_one_line, begun) {
            (true, None) => return before,
            (true, Some(begun)) => (begun, text),
            (false, _) => {
                let line = memchr::memrchr(b'\n', text).map_or(0, |line_end| line_end + 1);
                (Self::default(), &text[line..])
            }
        };
        let mut blank = tail.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
        blank.try_fold(begun, |indent, &byte| indent.and(byte))
    }

    /// With one more byte behind it, unless that is too long.
    fn and(self, byte: u8) -> Option<Self> {
        const { assert!(LONGEST_INDENT as u32 == u64::BITS, "one bit a byte") };
        let tab = u64::from(byte == b'\t').checked_shl(u32::from(self.length))?;
        Some(Self { length: self.length + 1, tabs: self.tabs | tab })
    }

    /// As one word: how long it is, and which of its bytes are tabs.
    pub(crate) fn code(indent: Option<Self>) -> String {
        indent.map_or("none".to_owned(), |Self { length, tabs }| format!("{length}.{tabs:x}"))
    }

    /// Of that [`code`](Self::code).
    pub(crate) fn from_code(word: &str) -> Option<Option<Self>> {
        if word == "none" {
            return Some(None);
        }
        let (length, tabs) = word.split_once('.')?;
        let (length, tabs) = (length.parse::<u8>().ok()?, u64::from_str_radix(tabs, 16).ok()?);
        let is_one = length <= LONGEST_INDENT && tabs.checked_shr(u32::from(length)).unwrap_or(0) == 0;
        is_one.then_some(Some(Self { length, tabs }))
    }
}

/// What is known of the line that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// There is nothing on it but that.
    Begun(Indent),
    /// There is nothing behind that but the end of an array.
    Closing(Indent, Closing),
    Other,
}

/// How the end of an array is written that has a line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// `]`
    Alone,
    /// `],`
    WithComma,
    /// `]}`
    WithObject,
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

    /// With one more byte behind it, which is no line end.
    pub(crate) fn and(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Begun(indent), b' ' | b'\t') => Self::of(indent.and(byte)),
            (Self::Begun(indent), b']') => Self::Closing(indent, Closing::Alone),
            (Self::Closing(indent, Closing::Alone), b',') => Self::Closing(indent, Closing::WithComma),
            (Self::Closing(indent, Closing::Alone), b'}') => Self::Closing(indent, Closing::WithObject),
            (Self::Closing(..), b'\r') => self,
            _ => Self::Other,
        }
    }
}

/// Among what an element stands, the outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// The elements of an array of the source.
    Array,
    /// The entries of a Bundle, or providers.
    Entries,
    /// The resources of a list of a provider.
    List,
}

const ALL: [Among; 3] = [Among::Array, Among::Entries, Among::List];

/// The anchors: for each place where elements may be, how those were indented that began there last, if they were objects and
/// the first thing on their lines. A line that begins with `{` behind the same white space is taken for the next one, if one
/// is looked for.
///
/// There are two of them, for the element that is broken may be so in its own indentation: the newest, and the other one that
/// came before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anchors([[Option<Indent>; 2]; ALL.len()]);

impl Anchors {
    /// An element begins, on a line with that indentation if it is the first thing on it.
    pub(crate) fn begin(&mut self, among: Among, indent: Option<Indent>) {
        self.0[among as usize + 1..].fill([None; 2]);
        let [newest, before] = self.0[among as usize];
        // What is around an element is less indented, or one could not be told from the other.
        let around =
            self.0[..among as usize].as_flattened().iter().flatten().map(|around| around.length).max();
        let indent = indent.filter(|indent| around.is_none_or(|around| indent.length > around));
        self.0[among as usize] = match indent {
            Some(_) if indent == newest => [newest, before],
            // One of another kind between two of one kind is an odd one.
            Some(_) if indent == before => [before, None],
            Some(_) => [indent, newest],
            None => [newest, before],
        };
    }

    /// No element has begun there, and so none within one.
    pub(crate) fn forget(&mut self, among: Among) {
        self.0[among as usize..].fill([None; 2]);
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_flattened().iter().all(Option::is_none)
    }

    /// Only the outermost `count` of them.
    pub(crate) fn outermost(mut self, count: usize) -> Self {
        self.0[count..].fill([None; 2]);
        self
    }

    /// Forgets those of the outermost `count` that `left` has not got any more.
    pub(crate) fn keep(&mut self, left: Self, count: usize) {
        self.0[..count].copy_from_slice(&left.0[..count]);
    }

    /// Among what a line with that indentation begins the next element: the innermost place.
    pub(crate) fn find(&self, indent: Indent) -> Option<Among> {
        ALL.into_iter().rev().find(|among| self.0[*among as usize].contains(&Some(indent)))
    }

    /// Forgets those behind whose elements that line is, as it ends.
    ///
    /// It ends an array and is less indented than an element, or not more in column 0; but no such line that a single wrong
    /// byte makes of another one counts, for the elements behind it would be lost.
    pub(crate) fn leave(&mut self, line: Line) {
        let Line::Closing(Indent { length: at, .. }, closing) = line else { return };
        let is_as_far_in = at == 0 && closing != Closing::WithComma;
        for anchor in self.0.as_flattened_mut() {
            let is_behind = |indent: &Indent| indent.length > at || (indent.length == at && is_as_far_in);
            *anchor = anchor.filter(|indent| !is_behind(indent));
        }
    }

    /// As six words.
    pub(crate) fn code(&self) -> String {
        let words: Vec<String> = self.0.as_flattened().iter().copied().map(Indent::code).collect();
        words.join(" ")
    }

    /// Of the words of that [`code`](Self::code), which are taken.
    pub(crate) fn from_words<'w>(words: &mut impl Iterator<Item = &'w str>) -> Option<Self> {
        let mut anchors = Self::default();
        for anchor in anchors.0.as_flattened_mut() {
            *anchor = Indent::from_code(words.next()?)?;
        }
        Some(anchors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indent(text: &str) -> Indent {
        Indent::behind(Some(Indent::default()), text.as_bytes()).expect("an indentation")
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
                assert_eq!(Indent::behind(Indent::behind(None, first), second), wanted, "{text:?} at {cut}");
            }
        }
        let long = |bytes: usize| format!("\n{}", "\t".repeat(bytes));
        assert!(Indent::behind(None, long(64).as_bytes()).is_some());
        for bytes in [65, 66, 1000] {
            let text = long(bytes);
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                assert_eq!(Indent::behind(Indent::behind(None, first), second), None);
            }
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

    #[test]
    fn an_odd_indentation_is_forgotten_behind_the_next_one() {
        let mut anchors = Anchors::default();
        let mut begin = |text: &str| {
            anchors.begin(Among::Entries, Some(indent(text)));
            ["  ", " ", ""].map(|text| anchors.find(indent(text)).is_some())
        };
        assert_eq!(begin("  "), [true, false, false]);
        assert_eq!(begin(""), [true, false, true]);
        assert_eq!(begin("  "), [true, false, false]);
        assert_eq!(begin(" "), [true, true, false]);
        assert_eq!(begin(" "), [true, true, false]);
        assert_eq!(begin(""), [false, true, true]);
    }

    #[test]
    fn the_end_of_an_array_is_known_by_its_line() {
        for (line, is_left) in [
            ("  ]", true),
            ("  ],", true),
            ("  ]}", true),
            ("  ]\r", true),
            ("    ]", false),
            ("    ],", false),
            ("    ]}", false),
            ("      ]", false),
            ("  ],]", false),
            ("  ]}]", false),
            ("  ] }", false),
            ("  }", false),
            ("  ]    {", false),
            ("   ]},", false),
        ] {
            let mut anchors = Anchors::default();
            anchors.begin(Among::Entries, Some(indent("    ")));
            let start = Line::Begun(Indent::default());
            anchors.leave(line.bytes().fold(start, Line::and));
            assert_eq!(anchors.find(indent("    ")).is_none(), is_left, "{line:?}");
        }
    }
}
