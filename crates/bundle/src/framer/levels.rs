//! What stands between the parts: the few levels of containers, and their syntax.

use fhirline_parse::blank_length;

use crate::anchors::{Among, Anchors};
use crate::framed::{Container, Ending, EntryEnds, Framed, Known};
use crate::line::{Indent, Line};
use crate::look::Look;
use crate::skim::{Over, begins_value};

use super::parts::Purpose;
use super::{Flow, Found, Framer, begins, ends};

/// The innermost container that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// None, or an array of the source.
    Outside,
    Bundle,
    /// The array behind `entry`.
    Entries,
    Entry,
    /// The object with the key `providers`.
    Wrapper,
    /// The array behind that key.
    Providers,
    Provider,
    /// The object behind its key `fhir`.
    Lists,
    /// An array of resources in it.
    List,
}

impl Level {
    /// The key whose value is unwrapped, in an object that has one.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Bundle => "entry",
            Self::Entry => "resource",
            Self::Wrapper => "providers",
            Self::Provider => "fhir",
            _ => "",
        }
    }

    /// Whether an entry, or a provider, is open.
    pub(super) fn is_in_entry(self) -> bool {
        matches!(self, Self::Entry | Self::Provider | Self::Lists | Self::List)
    }

    /// How many of the anchors are those of elements that are open there, or that stand there.
    pub(super) fn anchors(self) -> usize {
        match self {
            Self::Outside | Self::Bundle | Self::Wrapper => 1,
            Self::Entries | Self::Entry | Self::Providers | Self::Provider | Self::Lists => 2,
            Self::List => 3,
        }
    }
}

/// What may come next in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The first item, or the end.
    First,
    /// An item.
    Next,
    /// The colon behind a key whose value is unwrapped.
    Colon,
    /// The value of that key.
    Value,
    /// A comma, or the end.
    After,
}

impl Framer {
    /// Passes over white space and takes one token of syntax, or begins a part.
    pub(super) fn read_between(&mut self) -> Flow {
        if self.lines.are_asked_for()
            && let Some(flow) = self.tell_lines()
        {
            return flow;
        }
        match blank_length(self.buffer.held()) {
            0 => {}
            blank => self.pass_blank(blank),
        }
        let Some(&byte) = self.buffer.held().first() else { return Flow::Wait };
        match (self.level, self.expect, byte) {
            (Level::Outside, ..) if !self.in_array => self.outside(byte),
            (_, Expect::After, b',') => self.pass_syntax(1, Expect::Next),
            (_, Expect::Colon, b':') => self.pass_syntax(1, Expect::Value),
            (_, Expect::First | Expect::After, b'}' | b']') => self.close(byte),
            (_, Expect::First | Expect::Next | Expect::Value, _) if begins_value(byte) => self.item(byte),
            _ => self.lose(byte),
        }
    }

    /// Where no container is open: an object, or an array that is one.
    fn outside(&mut self, byte: u8) -> Flow {
        self.lines.begin(byte, self.at.line);
        match (byte, self.known.take()) {
            (b'{', Some(Known::Bundle(kind) | Known::BundleHead(kind))) => {
                self.open_container(Container::Bundle(kind))
            }
            (b'{', Some(Known::ProvidersHead)) => self.open_container(Container::Providers),
            (b'{', Some(Known::EntryHead)) => {
                self.open_entry();
                Flow::On
            }
            (b'{', None) => self.candidate(),
            (b'[', _) => {
                let begins = begins(self.at, Container::Array);
                self.in_array = true;
                self.harm.array = false;
                self.anchors.forget(Among::Array);
                self.pass_syntax(1, Expect::First);
                Flow::Found(begins)
            }
            _ => self.lose(byte),
        }
    }

    /// An item of the container that is open, or the value of a key that is unwrapped.
    fn item(&mut self, byte: u8) -> Flow {
        match (self.expect, byte) {
            (Expect::Value, _) => self.unwrapped(byte),
            (_, b'{') => self.object(),
            (_, b'"') if self.in_object() => self.member(),
            _ if self.in_object() => self.lose(byte),
            _ if matches!(self.level, Level::Outside | Level::List) => self.resource(),
            _ => self.begin(Purpose::NotObject, Over::Value),
        }
    }

    /// The value of a key that is unwrapped.
    fn unwrapped(&mut self, byte: u8) -> Flow {
        match (self.level, byte) {
            (Level::Entry, _) => self.resource(),
            (Level::Bundle, b'[') => self.enter_array(Level::Entries, Among::Entries),
            (Level::Wrapper, b'[') => self.enter_array(Level::Providers, Among::Entries),
            (Level::Lists, b'[') => self.enter_array(Level::List, Among::List),
            (Level::Provider, b'{') => self.enter(Level::Lists),
            (Level::Provider, _) => self.begin(Purpose::NotObject, Over::Value),
            _ => self.begin(Purpose::NotArray, Over::Value),
        }
    }

    /// An object among the items of the container that is open.
    fn object(&mut self) -> Flow {
        let among = match self.level {
            Level::Outside => Among::Array,
            Level::Entries | Level::Providers => Among::Entries,
            Level::List => Among::List,
            _ => return self.lose(b'{'),
        };
        let Some(is_last_on_line) = self.is_last_on_line() else { return Flow::Wait };
        let own = self.line.begun();
        self.anchors.begin(among, own, self.indent.filter(|_| own.is_none() && is_last_on_line));
        match self.level {
            Level::Outside => self.candidate(),
            Level::Entries => self.begin(Purpose::Entry, Over::Object),
            Level::Providers => {
                self.resources = 0;
                self.enter(Level::Provider)
            }
            _ => self.resource(),
        }
    }

    /// Whether a line end comes behind the next byte; `None` if that is still to be read.
    fn is_last_on_line(&self) -> Option<bool> {
        match self.buffer.held().get(1) {
            Some(byte) => Some(matches!(byte, b'\n' | b'\r')),
            None => self.finished.then_some(false),
        }
    }

    /// A key of the object that is open.
    fn member(&mut self) -> Flow {
        let purpose = match self.level {
            Level::Bundle | Level::Wrapper => {
                // Objects in it may stand where the elements stood that came before.
                self.anchors.forget(Among::Entries);
                Purpose::BundleMember
            }
            Level::Lists => {
                self.anchors.forget(Among::List);
                Purpose::ListName
            }
            _ => Purpose::EntryMember,
        };
        self.begin(purpose, Over::Member)
    }

    fn in_object(&self) -> bool {
        use Level::{Bundle, Entry, Lists, Provider, Wrapper};
        matches!(self.level, Bundle | Entry | Wrapper | Provider | Lists)
    }

    fn enter(&mut self, level: Level) -> Flow {
        self.level = level;
        self.pass_syntax(1, Expect::First)
    }

    fn enter_array(&mut self, level: Level, among: Among) -> Flow {
        self.anchors.forget(among);
        self.enter(level)
    }

    fn resource(&mut self) -> Flow {
        self.begin(Purpose::Resource, Over::Value)
    }

    fn candidate(&mut self) -> Flow {
        if self.options.keep_bundles {
            return self.begin(Purpose::Resource, Over::Value);
        }
        self.begin(Purpose::Candidate(Look::default()), Over::Object)
    }

    /// The end of the container that is open, if the bracket is its own.
    fn close(&mut self, byte: u8) -> Flow {
        let told = match (self.level, byte) {
            (Level::Outside, b']') => {
                self.in_array = false;
                self.anchors.forget(Among::Array);
                Some(ends(Container::Array, Ending::Closed))
            }
            (Level::Bundle | Level::Wrapper, b'}') => self.leave(Ending::Closed),
            (Level::Entry, b'}') => self.close_entry(Level::Entries),
            (Level::Provider, b'}') => self.close_entry(Level::Providers),
            (Level::Entries, b']') => self.leave_to(Level::Bundle),
            (Level::Providers, b']') => self.leave_to(Level::Wrapper),
            (Level::Lists, b'}') => self.leave_to(Level::Provider),
            (Level::List, b']') => self.leave_to(Level::Lists),
            _ => return self.lose(byte),
        };
        self.pass_syntax(1, Expect::After);
        told.map_or(Flow::On, |told| Flow::Found(Found::Told(told)))
    }

    fn leave_to(&mut self, level: Level) -> Option<Framed<'static>> {
        self.level = level;
        None
    }

    fn close_entry(&mut self, level: Level) -> Option<Framed<'static>> {
        self.level = level;
        Some(Framed::EntryEnds(EntryEnds { resources: self.resources }))
    }

    /// What stands there belongs nowhere.
    fn lose(&mut self, byte: u8) -> Flow {
        let line = if byte == b'{' { self.line } else { Line::Other };
        let element = self.anchors_here().find(line);
        let indent = line.begun();
        // Without a comma before it, what begins in column 0 is more likely to be a value than an element.
        let is_value = indent.is_some_and(Indent::is_empty) && self.expect == Expect::After;
        match (element, indent) {
            // The next element begins here, and what is open within the one before lacks its end, or a comma is missing.
            (Some(among), _) if !is_value => {
                self.harmed();
                self.resume(among);
            }
            // A value begins here, and what is open lacks its end.
            (_, Some(indent)) if indent.is_empty() => {
                self.harmed();
                self.abandon();
            }
            _ => return self.begin(Purpose::Lost, Over::Nothing),
        }
        self.queued.take().map_or(Flow::On, |told| Flow::Found(Found::Told(told)))
    }

    /// The anchors that count for a `{` which nothing broken comes before: right behind an array, where only keys may be, it
    /// begins an element of that too.
    fn anchors_here(&self) -> Anchors {
        let behind_array = matches!(self.level, Level::Bundle | Level::Wrapper | Level::Lists);
        self.anchors.outermost(self.level.anchors() + usize::from(behind_array))
    }

    /// Goes back to the beginning of the object that was looked at, which is a container, and into it.
    pub(super) fn open_container(&mut self, container: Container) -> Flow {
        let begins = begins(self.at, container);
        self.go_inside(container);
        self.enter(if container == Container::Providers { Level::Wrapper } else { Level::Bundle });
        Flow::Found(begins)
    }

    /// Goes back to the beginning of the entry that was looked at, and into it.
    pub(super) fn open_entry(&mut self) {
        self.resources = 0;
        self.enter(Level::Entry);
    }

    /// Passes over a key whose value is unwrapped, which ends before `at`.
    pub(super) fn pass_key(&mut self, at: usize) -> Flow {
        self.pass_syntax(at, Expect::Colon)
    }

    /// Passes over syntax of a container; what was held to look at it is looked at anew.
    pub(super) fn pass_syntax(&mut self, bytes: usize, next: Expect) -> Flow {
        self.open = None;
        self.take(bytes);
        self.tally.container += bytes as u64;
        self.expect = next;
        Flow::On
    }

    /// Passes over so much white space.
    pub(super) fn pass_blank(&mut self, length: usize) {
        if self.before != b'\r' {
            self.tally.blank.interrupt();
        }
        self.tally.blank.add(&self.buffer.held()[..length]);
        self.take(length);
    }
}
