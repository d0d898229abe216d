//! What stands in containers, found with `serde_json` and by nothing cleverer than looking at the keys of one object after
//! another.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Bundles that mean something as a whole.
const WHOLE: [&str; 3] = ["document", "message", "subscription-notification"];

/// What a container holds, in the words of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'t> {
    /// A resource, if it is one.
    Record(&'t str),
    /// An entry without a resource.
    Entry(&'t str),
    /// A member of a Bundle other than its entries.
    OfBundle(&'t str),
    /// A member of an entry other than its resource.
    OfEntry(&'t str),
    /// Something in the place of entries, and its fault.
    Bad(&'t str, &'static str),
}

/// What a value of the source holds: itself, or what is in it. `keep` says whether a Bundle is a resource like any other.
pub(super) fn items_of<'t>(value: &'t RawValue, keep: bool) -> Vec<Item<'t>> {
    let mut items = Vec::new();
    if value.get().starts_with('[') {
        elements(value).into_iter().for_each(|element| open_object(element, keep, &mut items));
    } else {
        open_object(value, keep, &mut items);
    }
    items
}

/// Whether that value is an object that is opened.
pub(super) fn is_container(value: &RawValue) -> bool {
    items_of(value, false) != [Item::Record(value.get())]
}

fn open_object<'t>(value: &'t RawValue, keep: bool, items: &mut Vec<Item<'t>>) {
    let members = if keep { Vec::new() } else { members(value.get()) };
    if members.first().is_some_and(|member| member.key == "providers") {
        for member in &members {
            match &*member.key {
                "providers" => open_providers(member.value, items),
                _ => items.extend(not_understood(member)),
            }
        }
    } else if is_wrapper(&members) {
        for member in &members {
            match &*member.key {
                "entry" => open_entries(member.value, items),
                _ => items.push(Item::OfBundle(member.text)),
            }
        }
    } else {
        items.push(Item::Record(value.get()));
    }
}

/// The first of each key counts.
fn is_wrapper(members: &[Member<'_>]) -> bool {
    let first = |name| values_of(members, name).next().map(RawValue::get);
    let is_whole = |kind: &str| WHOLE.iter().any(|whole| text_of(kind) == Some((*whole).into()));
    first("resourceType").and_then(text_of).is_some_and(|name| name == "Bundle")
        && !first("type").is_some_and(is_whole)
}

fn open_entries<'t>(list: &'t RawValue, items: &mut Vec<Item<'t>>) {
    let Some(entries) = listed(list, items) else { return };
    for entry in entries {
        if !entry.get().starts_with('{') {
            items.push(Item::Bad(entry.get(), "entry-not-object"));
            continue;
        }
        let members = members(entry.get());
        if values_of(&members, "resource").next().is_none() {
            items.push(Item::Entry(entry.get()));
            continue;
        }
        items.extend(members.iter().map(|member| match &*member.key {
            "resource" => Item::Record(member.value.get()),
            _ => Item::OfEntry(member.text),
        }));
    }
}

fn open_providers<'t>(list: &'t RawValue, items: &mut Vec<Item<'t>>) {
    for provider in listed(list, items).unwrap_or_default() {
        if !provider.get().starts_with('{') {
            items.push(Item::Bad(provider.get(), "entry-not-object"));
            continue;
        }
        for member in members(provider.get()) {
            match &*member.key {
                "fhir" => open_lists(member.value, items),
                _ => items.extend(not_understood(&member)),
            }
        }
    }
}

fn open_lists<'t>(lists: &'t RawValue, items: &mut Vec<Item<'t>>) {
    match lists.get() {
        "null" => {}
        text if text.starts_with('{') => {
            for list in members(text) {
                let resources = listed(list.value, items).unwrap_or_default();
                items.extend(resources.into_iter().map(|resource| Item::Record(resource.get())));
            }
        }
        text => items.push(Item::Bad(text, "entry-not-object")),
    }
}

/// What might hold resources where none are looked for, or says that the whole is one.
fn not_understood<'t>(member: &Member<'t>) -> Option<Item<'t>> {
    let is_one = member.value.get().starts_with(['{', '[']) || member.text.starts_with("\"resourceType\"");
    is_one.then_some(Item::Bad(member.text, "no-resource-type"))
}

/// The elements; what is no array is set aside.
fn listed<'t>(list: &'t RawValue, items: &mut Vec<Item<'t>>) -> Option<Vec<&'t RawValue>> {
    if list.get() == "null" {
        return None;
    }
    if !list.get().starts_with('[') {
        items.push(Item::Bad(list.get(), "entry-not-array"));
        return None;
    }
    Some(elements(list))
}

fn elements(array: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(array.get()).expect("an array that was parsed before")
}

/// A member of an object, as it is written.
pub(crate) struct Member<'t> {
    key: Cow<'t, str>,
    value: &'t RawValue,
    /// From the quote of the key to the end of the value.
    pub(crate) text: &'t str,
}

/// The members of an object in their order, all of them; none of what is no object.
pub(crate) fn members(text: &str) -> Vec<Member<'_>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let pairs = deserializer.deserialize_map(Pairs).unwrap_or_default();
    pairs.into_iter().map(|(key, value)| Member::within(text, key, value)).collect()
}

impl<'t> Member<'t> {
    fn within(text: &'t str, key: &'t RawValue, value: &'t RawValue) -> Self {
        let start = |part: &RawValue| part.get().as_ptr() as usize - text.as_ptr() as usize;
        let whole = &text[start(key)..start(value) + value.get().len()];
        Self { key: super::decoded(key), value, text: whole }
    }
}

fn values_of<'m, 't>(
    members: &'m [Member<'t>],
    name: &'static str,
) -> impl Iterator<Item = &'t RawValue> + use<'m, 't> {
    members.iter().filter(move |member| member.key == name).map(|member| member.value)
}

fn text_of(value: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str(value).ok().map(Cow::<'_, str>::Owned)
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// The value without the white space between its tokens.
pub(super) fn minified(value: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let mut keeps = |character: char| {
        let keep = in_string || !matches!(character, ' ' | '\t' | '\r' | '\n');
        in_string = if character == '"' && !escaped { !in_string } else { in_string };
        escaped = in_string && character == '\\' && !escaped;
        keep
    };
    value.chars().filter(|&character| keeps(character)).collect()
}
