//! Where by the indentation of a line the next element begins behind a broken one.

use crate::line::{Closing, Indent, Line};

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
///
/// Others write `[ {` and `}, {`, and end a line with that. There the anchor is the indentation of that line: one that begins
/// with `}, {` behind the same white space ends an element and begins the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anchors {
    own: [[Option<Indent>; 2]; ALL.len()],
    shared: [Option<Indent>; ALL.len()],
}

impl Anchors {
    /// An element begins, on a line with that indentation: `own` if it is the first thing on it, and `shared` if it is not, but
    /// its first byte is the last one on it.
    pub(crate) fn begin(&mut self, among: Among, own: Option<Indent>, shared: Option<Indent>) {
        let place = among as usize;
        self.forget_from(place + 1);
        // What is around an element is less indented, or one could not be told from the other.
        let around = self.own[..place].as_flattened().iter().chain(&self.shared[..place]);
        let around = around.flatten().map(|around| around.length()).max();
        let is_deeper = |indent: &Indent| around.is_none_or(|around| indent.length() > around);
        let [newest, before] = self.own[place];
        self.own[place] = match own.filter(is_deeper) {
            None => [newest, before],
            indent if indent == newest => [newest, before],
            // One of another kind between two of one kind is an odd one.
            indent if indent == before => [before, None],
            indent => [indent, newest],
        };
        // Around entries there is a Bundle: where that is not less indented, nothing is, and what is within them neither.
        let is_indented = |indent: &Indent| among == Among::Array || !indent.is_empty();
        self.shared[place] = shared.filter(is_deeper).filter(is_indented).or(self.shared[place]);
    }

    /// No element has begun there, and so none within one.
    pub(crate) fn forget(&mut self, among: Among) {
        self.forget_from(among as usize);
    }

    fn forget_from(&mut self, place: usize) {
        self.own[place..].fill([None; 2]);
        self.shared[place..].fill(None);
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Only the outermost `count` of them.
    pub(crate) fn outermost(mut self, count: usize) -> Self {
        self.forget_from(count);
        self
    }

    /// Forgets those of the outermost `count` that `left` has not got any more.
    pub(crate) fn keep(&mut self, left: Self, count: usize) {
        self.own[..count].copy_from_slice(&left.own[..count]);
        self.shared[..count].copy_from_slice(&left.shared[..count]);
    }

    /// Among what a `{` begins the next element that stands where that line ends: the innermost place.
    pub(crate) fn find(&self, line: Line) -> Option<Among> {
        let mut innermost = ALL.into_iter().rev();
        match line {
            Line::Begun(indent) => innermost.find(|among| self.own[*among as usize].contains(&Some(indent))),
            Line::Comma(indent) => innermost.find(|among| self.shared[*among as usize] == Some(indent)),
            _ => None,
        }
    }

    /// Forgets those behind whose elements that line is, as it ends.
    ///
    /// It ends an array and is less indented than an element, or not more in column 0; but no such line that a single wrong
    /// byte makes of another one counts, for the elements behind it would be lost. If it ends the last element as well, it is
    /// as far in as the lines that elements share.
    pub(crate) fn leave(&mut self, line: Line) {
        let (at, is_as_far_in, is_shared_as_far_in) = match line {
            Line::Closing(at, closing) => (at, at.is_empty() && closing != Closing::WithComma, false),
            Line::ClosingBoth(at, _) => (at, false, true),
            _ => return,
        };
        let forget = |anchor: &mut Option<Indent>, is_as_far_in: bool| {
            let is_behind = |indent: &Indent| {
                indent.length() > at.length() || (indent.length() == at.length() && is_as_far_in)
            };
            *anchor = anchor.filter(|indent| !is_behind(indent));
        };
        self.own.as_flattened_mut().iter_mut().for_each(|anchor| forget(anchor, is_as_far_in));
        self.shared.iter_mut().for_each(|anchor| forget(anchor, is_shared_as_far_in));
    }

    /// As nine words.
    pub(crate) fn code(&self) -> String {
        let all = self.own.as_flattened().iter().chain(&self.shared);
        let words: Vec<String> = all.copied().map(Indent::code).collect();
        words.join(" ")
    }

    /// Of the words of that [`code`](Self::code), which are taken.
    pub(crate) fn from_words<'w>(words: &mut impl Iterator<Item = &'w str>) -> Option<Self> {
        let mut anchors = Self::default();
        for anchor in anchors.own.as_flattened_mut().iter_mut().chain(&mut anchors.shared) {
            *anchor = Indent::from_code(words.next()?)?;
        }
        Some(anchors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indent(text: &str) -> Indent {
        line(text).begun().expect("an indentation")
    }

    /// The line on which a text ends that begins one.
    fn line(text: &str) -> Line {
        Line::Begun(Indent::default()).behind(text.as_bytes(), true)
    }

    #[test]
    fn an_odd_indentation_is_forgotten_behind_the_next_one() {
        let mut anchors = Anchors::default();
        let mut begin = |text: &str| {
            anchors.begin(Among::Entries, Some(indent(text)), None);
            ["  ", " ", ""].map(|text| anchors.find(line(text)).is_some())
        };
        assert_eq!(begin("  "), [true, false, false]);
        assert_eq!(begin(""), [true, false, true]);
        assert_eq!(begin("  "), [true, false, false]);
        assert_eq!(begin(" "), [true, true, false]);
        assert_eq!(begin(" "), [true, true, false]);
        assert_eq!(begin(""), [false, true, true]);
    }

    #[test]
    fn a_line_that_elements_share_is_as_far_in_as_they_begin() {
        let mut anchors = Anchors::default();
        anchors.begin(Among::Array, None, Some(indent("")));
        anchors.begin(Among::Entries, None, Some(indent("")));
        assert_eq!(anchors.find(line("}, ")), Some(Among::Array), "nothing is around it");
        anchors.begin(Among::Entries, None, Some(indent("  ")));
        for (text, wanted) in [
            ("  }, ", Some(Among::Entries)),
            ("  } ,", Some(Among::Entries)),
            ("},", Some(Among::Array)),
            ("   },", None),
            (" },", None),
            ("  }", None),
            ("  ", None),
            ("", None),
        ] {
            assert_eq!(anchors.find(line(text)), wanted, "{text:?}");
        }
        anchors.begin(Among::Array, None, None);
        assert_eq!(anchors.find(line("  }, ")), None);
        assert_eq!(anchors.find(line("}, ")), Some(Among::Array));
    }

    #[test]
    fn the_end_of_an_array_is_known_by_its_line() {
        for (text, is_own_left, is_shared_left) in [
            ("  ]", true, true),
            ("  ],", true, true),
            ("  ]}", true, true),
            ("  ]\r", true, true),
            ("    ]", false, false),
            ("    ],", false, false),
            ("    ]}", false, false),
            ("      ]", false, false),
            ("  ],]", false, false),
            ("  ]}]", false, false),
            ("  ] }", false, false),
            ("  }", false, false),
            ("  ]    {", false, false),
            ("   ]},", false, false),
            ("    } ]", false, true),
            ("    }]", false, true),
            ("    } ],", false, true),
            ("    } ]}\r", false, true),
            ("    } ] ,", false, false),
            ("    }, ]", false, false),
            ("      } ]", false, false),
            ("  } ],", true, true),
        ] {
            let mut anchors = Anchors::default();
            let at = Some(indent("    "));
            anchors.begin(Among::Entries, at, at);
            anchors.leave(text.bytes().fold(line(""), Line::and));
            assert_eq!(anchors.find(line("    ")).is_none(), is_own_left, "{text:?}");
            assert_eq!(anchors.find(line("    },")).is_none(), is_shared_left, "{text:?}");
        }
    }
}
