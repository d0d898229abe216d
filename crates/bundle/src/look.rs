//! Whether an object is a container.

use crate::bundle_type::BundleType;
use crate::word::Word;

/// What the keys of an object have said so far. The first `resourceType` and the first `type` count, for these decide
/// before a second one could be seen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Look {
    has_keys: bool,
    has_providers: bool,
    has_entry: bool,
    awaited: Option<Name>,
    is_bundle: Option<bool>,
    kind: Option<BundleType>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    ResourceType,
    Type,
}

/// What the object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A resource, or anything else that is one as a whole.
    Whole,
    /// A Bundle that is no more than the wrapper of its entries.
    Bundle(BundleType),
    /// An object around `providers`.
    Providers,
}

impl Look {
    /// Takes a key at the top level of the object, and says whether its value is wanted.
    pub(crate) fn key(&mut self, key: &Word) -> bool {
        self.has_providers |= !self.has_keys && key.is("providers");
        self.has_entry |= key.is("entry");
        self.has_keys = true;
        self.awaited = if self.is_bundle.is_none() && key.is("resourceType") {
            Some(Name::ResourceType)
        } else if self.kind.is_none() && key.is("type") {
            Some(Name::Type)
        } else {
            None
        };
        self.awaited.is_some()
    }

    /// Takes the value that was wanted; `None` if it is not a string.
    pub(crate) fn value(&mut self, text: Option<&Word>) {
        match self.awaited.take() {
            Some(Name::ResourceType) => self.is_bundle = Some(text.is_some_and(|text| text.is("Bundle"))),
            Some(Name::Type) => self.kind = Some(text.map_or(BundleType::Unknown, BundleType::of)),
            None => {}
        }
    }

    /// Whether the object, of which a key was seen, is probably not one that is unwrapped.
    pub(crate) fn promises_whole(&self) -> bool {
        self.has_keys && !self.has_providers && !self.has_entry && self.is_bundle.is_none()
    }

    /// What the object is, as soon as nothing that follows can change it.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        if self.has_providers {
            return Some(Verdict::Providers);
        }
        match (self.is_bundle?, self.kind) {
            (false, _) => Some(Verdict::Whole),
            (true, kind) => kind.map(verdict_on),
        }
    }

    /// The type of the Bundle that the object may be, if it is cut off.
    pub(crate) fn cut_verdict(&self) -> Option<BundleType> {
        (self.has_entry && self.is_bundle != Some(false)).then_some(self.kind.unwrap_or(BundleType::Absent))
    }

    /// The type of the Bundle that the object is, if it is to be unwrapped, once all of it was seen.
    pub(crate) fn last_verdict(&self) -> Option<BundleType> {
        let kind = self.kind.unwrap_or(BundleType::Absent);
        (self.is_bundle == Some(true) && kind.is_container()).then_some(kind)
    }
}

fn verdict_on(kind: BundleType) -> Verdict {
    if kind.is_container() { Verdict::Bundle(kind) } else { Verdict::Whole }
}
