//! The slow, obvious way to read a well-formed source: with `serde_json`, whole.

use std::fmt;

use fhirline_bundle::{BundleType, Container, Defect, Ending, Kind};
use fhirline_core::Position;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::driver::{Seen, Text, start};

/// The members of an object, in order, repeated keys included.
struct Members<'j>(Vec<(String, &'j RawValue)>);

impl<'de: 'j, 'j> serde::Deserialize<'de> for Members<'j> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each)
    }
}

/// What the framer should say of a text of concatenated well-formed values, the arrays among them included.
pub(crate) fn oracle(text: &str) -> Vec<Seen> {
    let mut oracle = Oracle { text, all: Vec::new() };
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.expect("well-formed").get();
        if value.starts_with('[') {
            oracle.all.push(Seen::Begins(oracle.at(value), Container::Array));
            let items: Vec<&RawValue> = serde_json::from_str(value).expect("an array");
            items.iter().for_each(|item| oracle.value(item.get()));
            oracle.all.push(Seen::Ends(Container::Array, Ending::Closed));
        } else {
            oracle.value(value);
        }
    }
    oracle.all
}

struct Oracle<'j> {
    text: &'j str,
    all: Vec<Seen>,
}

impl Oracle<'_> {
    /// Where a piece of the text stands.
    fn at(&self, piece: &str) -> Position {
        let byte = piece.as_ptr() as usize - self.text.as_ptr() as usize;
        let lines = self.text[..byte].matches('\n').count();
        start().advanced(byte as u64, lines as u64)
    }

    fn part(&mut self, piece: &str, kind: Kind) {
        let line_ends = piece.matches('\n').count() as u64;
        self.all.push(Seen::Part(self.at(piece), kind, Text(piece.as_bytes().to_vec()), line_ends));
    }

    /// A member, from the opening quote of its key: the last quote before the value belongs to the key.
    fn member(&mut self, value: &str, kind: Kind) {
        let begins = (self.at(value).byte) as usize;
        let text = self.text;
        let key_ends = text[..begins].rfind('"').expect("a key");
        let key_begins = text[..key_ends].rfind('"').expect("a key without escaped quotes");
        self.part(&text[key_begins..begins + value.len()], kind);
    }

    fn value(&mut self, value: &str) {
        let Ok(Members(members)) = serde_json::from_str(value) else {
            return self.part(value, Kind::Resource);
        };
        if members.first().is_some_and(|(key, _)| key == "providers") {
            return self.wrapper(value, &members);
        }
        let Some(kind) = container(&members) else { return self.part(value, Kind::Resource) };
        self.all.push(Seen::Begins(self.at(value), Container::Bundle(kind)));
        for (key, value) in &members {
            match (key.as_str(), value.get()) {
                ("entry", "null") => {}
                ("entry", array) if array.starts_with('[') => self.entries(array),
                ("entry", other) => self.part(other, Kind::Broken(Defect::NotArray)),
                (_, value) => self.member(value, Kind::BundleMember),
            }
        }
        self.all.push(Seen::Ends(Container::Bundle(kind), Ending::Closed));
    }

    fn wrapper(&mut self, whole: &str, members: &[(String, &RawValue)]) {
        self.all.push(Seen::Begins(self.at(whole), Container::Providers));
        for (key, value) in members {
            match (key.as_str(), serde_json::from_str::<Vec<&RawValue>>(value.get())) {
                ("providers", Ok(providers)) => providers.iter().for_each(|each| self.provider(each.get())),
                ("providers", _) => self.not_array(value.get()),
                _ => self.member(value.get(), Kind::BundleMember),
            }
        }
        self.all.push(Seen::Ends(Container::Providers, Ending::Closed));
    }

    fn not_array(&mut self, value: &str) {
        if value != "null" {
            self.part(value, Kind::Broken(Defect::NotArray));
        }
    }

    fn provider(&mut self, provider: &str) {
        let Ok(Members(members)) = serde_json::from_str(provider) else {
            return self.part(provider, Kind::Broken(Defect::NotObject));
        };
        let mut resources = 0;
        for (key, value) in &members {
            match (key.as_str(), serde_json::from_str(value.get())) {
                ("fhir", Ok(Members(lists))) => {
                    lists.iter().for_each(|(_, list)| resources += self.list(list.get()));
                }
                ("fhir", Err(_)) if value.get() == "null" => {}
                ("fhir", Err(_)) => self.part(value.get(), Kind::Broken(Defect::NotObject)),
                _ => self.member(value.get(), Kind::EntryMember),
            }
        }
        self.all.push(Seen::EntryEnds(resources));
    }

    fn list(&mut self, list: &str) -> u64 {
        let key_ends = self.text[..self.at(list).byte as usize].rfind('"').expect("a key");
        let key_begins = self.text[..key_ends].rfind('"').expect("a key without escaped quotes");
        let text = self.text;
        self.part(&text[key_begins..=key_ends], Kind::ListName);
        let Ok(resources) = serde_json::from_str::<Vec<&RawValue>>(list) else {
            self.not_array(list);
            return 0;
        };
        resources.iter().for_each(|resource| self.part(resource.get(), Kind::Resource));
        resources.len() as u64
    }

    fn entries(&mut self, array: &str) {
        let entries: Vec<&RawValue> = serde_json::from_str(array).expect("an array");
        for entry in entries {
            match serde_json::from_str(entry.get()) {
                Ok(Members(members)) => self.entry(entry.get(), &members),
                Err(_) => {
                    self.part(entry.get(), Kind::Broken(Defect::NotObject));
                    self.all.push(Seen::EntryEnds(0));
                }
            }
        }
    }

    fn entry(&mut self, entry: &str, members: &[(String, &RawValue)]) {
        let resources = members.iter().filter(|(key, _)| key == "resource").count();
        if resources == 0 {
            return self.part(entry, Kind::Entry);
        }
        for (key, value) in members {
            match key.as_str() {
                "resource" => self.part(value.get(), Kind::Resource),
                _ => self.member(value.get(), Kind::EntryMember),
            }
        }
        self.all.push(Seen::EntryEnds(resources as u64));
    }
}

/// The type of a Bundle that is to be unwrapped: by the first keys of these names.
fn container(members: &[(String, &RawValue)]) -> Option<BundleType> {
    let first = |name| members.iter().find(|(key, _)| key == name).map(|(_, value)| value.get());
    let text = |value| serde_json::from_str::<String>(value).ok();
    if text(first("resourceType")?).as_deref() != Some("Bundle") {
        return None;
    }
    let Some(kind) = first("type") else { return Some(BundleType::Absent) };
    match text(kind).as_deref().unwrap_or_default() {
        "document" | "message" | "subscription-notification" => None,
        "collection" => Some(BundleType::Collection),
        "searchset" => Some(BundleType::Searchset),
        "batch" => Some(BundleType::Batch),
        "batch-response" => Some(BundleType::BatchResponse),
        "transaction" => Some(BundleType::Transaction),
        "transaction-response" => Some(BundleType::TransactionResponse),
        "history" => Some(BundleType::History),
        _ => Some(BundleType::Unknown),
    }
}
