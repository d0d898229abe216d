use fhirline_core::Position;

use crate::anchors::Anchors;
use crate::bundle_type::BundleType;
use crate::framed::Container;
use crate::line::{Indent, Line};

use super::levels::{Expect, Level};
use super::lines::Lines;
use super::{Framer, Harm, Options};

const LEVELS: [(Level, &str); 9] = [
    (Level::Outside, "outside"),
    (Level::Bundle, "bundle"),
    (Level::Entries, "entries"),
    (Level::Entry, "entry"),
    (Level::Wrapper, "wrapper"),
    (Level::Providers, "providers"),
    (Level::Provider, "provider"),
    (Level::Lists, "lists"),
    (Level::List, "list"),
];

const EXPECTS: [(Expect, &str); 5] = [
    (Expect::First, "first"),
    (Expect::Next, "next"),
    (Expect::Colon, "colon"),
    (Expect::Value, "value"),
    (Expect::After, "after"),
];

/// A place in a source from which another framer can go on, also within a Bundle or an array: the beginning of the part
/// that was being read, or what stands between parts.
///
/// It is a few words long, whatever the source, and holds nothing of it. A checkpoint keeps it as its [`code`](Self::code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the first byte stands that the other framer is to be given.
    pub at: Position,
    level: Level,
    expect: Expect,
    in_array: bool,
    inside: Option<Container>,
    resources: u64,
    indent: Option<Indent>,
    line: Line,
    lines: Lines,
    anchors: Anchors,
    harm: Harm,
}

impl Place {
    /// Everything but the position, as a line of text. What it says is between framers of the same version.
    #[must_use]
    pub fn code(&self) -> String {
        let level = LEVELS.iter().find(|(level, _)| *level == self.level).map_or("", |(_, name)| name);
        let expect = EXPECTS.iter().find(|(expect, _)| *expect == self.expect).map_or("", |(_, name)| name);
        let inside = match self.inside {
            Some(Container::Bundle(kind)) => kind.name(),
            Some(Container::Providers) => "providers",
            Some(Container::Array) | None => "nothing",
        };
        let (resources, in_array) = (self.resources, u8::from(self.in_array));
        let indent = format!("{} {}", Indent::code(self.indent), self.line.code());
        let anchors = self.anchors.code();
        let lines = self.lines.code().unwrap_or_default();
        let harm = format!("{} {}", u8::from(self.harm.array), u8::from(self.harm.inside));
        format!("{level} {expect} {inside} {in_array} {indent} {resources} {lines} {anchors} {harm}")
    }

    /// The place of that [`code`](Self::code); `None` if it is none.
    #[must_use]
    pub fn from_code(at: Position, code: &str) -> Option<Self> {
        let mut words = code.split(' ');
        let level = words.next()?;
        let (level, _) = LEVELS.into_iter().find(|(_, name)| *name == level)?;
        let expect = words.next()?;
        let (expect, _) = EXPECTS.into_iter().find(|(_, name)| *name == expect)?;
        let inside = match words.next()? {
            "nothing" => None,
            "providers" => Some(Container::Providers),
            name => Some(Container::Bundle(BundleType::from_name(name)?)),
        };
        let in_array = flag(words.next()?)?;
        let indent = Indent::from_code(words.next()?)?;
        let line = Line::from_code(words.next()?)?;
        let resources = words.next()?.parse().ok()?;
        let lines = Lines::from_code(words.next()?)?;
        let anchors = Anchors::from_words(&mut words)?;
        let harm = Harm { array: flag(words.next()?)?, inside: flag(words.next()?)? };
        let place =
            Self { at, level, expect, in_array, inside, resources, indent, line, lines, anchors, harm };
        words.next().is_none().then_some(place)
    }
}

fn flag(word: &str) -> Option<bool> {
    match word {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

impl Framer {
    /// A framer that goes on from a place where another one stood.
    #[must_use]
    pub fn from_place(place: Place, options: Options) -> Self {
        let Place { at, level, expect, in_array, inside, resources, indent, line, lines, anchors, harm } =
            place;
        let before = if line.begun().is_some_and(Indent::is_empty) { b'\n' } else { b' ' };
        let framer = Self::at(at, options);
        Self {
            level,
            expect,
            in_array,
            inside,
            resources,
            indent,
            line,
            before,
            lines,
            anchors,
            harm,
            ..framer
        }
    }

    /// Where another framer can go on: everything handed out so far lies before it, and is in [`tally`](Self::tally).
    ///
    /// There is no such place before a byte order mark is settled, while a part comes in pieces, between the two bytes of a
    /// line end, when something without bytes of its own is about to be handed out, in a second look, and behind
    /// [`Framed::Lines`](crate::Framed::Lines).
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let in_pieces = self.open.as_ref().is_some_and(|open| open.offset > 0);
        let settled =
            self.begun && self.queued.is_none() && !self.is_second_look && self.lines != Lines::Told;
        if !settled || in_pieces || self.before == b'\r' {
            return None;
        }
        let lines = match self.lines {
            // The other framer begins with the first value.
            Lines::First(_) if self.open.is_some() && self.level == Level::Outside => Lines::Asked,
            lines => lines,
        };
        let Self { at, level, expect, in_array, inside, resources, indent, line, anchors, harm, .. } = *self;
        Some(Place { at, level, expect, in_array, inside, resources, indent, line, lines, anchors, harm })
    }
}
