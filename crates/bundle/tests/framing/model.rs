//! Random Bundles and what else a source may hold, and ways to write them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A JSON value: its scalars as they are written.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Scalar(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// How to write it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Minified,
    /// White space behind commas and colons, on one line.
    Spaced,
    /// Indented by that much, with that line end.
    Pretty(usize, &'static str),
    /// The same, but for arrays: what begins and ends in them does so where the line is.
    Shared(usize, &'static str),
}

pub(crate) fn style() -> impl Strategy<Value = Style> {
    let styles = [
        Style::Minified,
        Style::Spaced,
        Style::Pretty(2, "\n"),
        Style::Pretty(0, "\n"),
        Style::Pretty(1, "\r\n"),
        Style::Shared(2, "\n"),
        Style::Shared(1, "\r\n"),
    ];
    select(styles.to_vec())
}

impl Json {
    pub(crate) fn text(value: &str) -> Self {
        Self::Scalar(format!("\"{value}\""))
    }

    pub(crate) fn write(&self, style: Style) -> String {
        let mut out = String::new();
        self.write_to(style, 0, &mut out);
        out
    }

    fn write_to(&self, style: Style, depth: usize, out: &mut String) {
        let (brackets, count) = match self {
            Self::Scalar(scalar) => return out.push_str(scalar),
            Self::Array(items) => ("[]", items.len()),
            Self::Object(members) => ("{}", members.len()),
        };
        let shares = matches!((style, self), (Style::Shared(..), Self::Array(_)));
        let deeper = depth + usize::from(!shares);
        let gap =
            |depth: usize, out: &mut String| if shares { out.push(' ') } else { line(style, depth, out) };
        out.push_str(&brackets[..1]);
        for index in 0..count {
            gap(deeper, out);
            match self {
                Self::Array(items) => items[index].write_to(style, deeper, out),
                Self::Object(members) => {
                    out.push_str(&format!("\"{}\"", members[index].0));
                    out.push_str(if matches!(style, Style::Minified) { ":" } else { " : " });
                    members[index].1.write_to(style, deeper, out);
                }
                Self::Scalar(_) => {}
            }
            if index + 1 < count {
                out.push_str(if matches!(style, Style::Spaced) { " , " } else { "," });
            }
        }
        gap(depth, out);
        out.push_str(&brackets[1..]);
    }
}

fn line(style: Style, depth: usize, out: &mut String) {
    if let Style::Pretty(indent, line_end) | Style::Shared(indent, line_end) = style {
        out.push_str(line_end);
        out.push_str(&" ".repeat(indent * depth));
    }
}

fn scalar() -> impl Strategy<Value = Json> {
    let scalars = [
        "1.00",
        "-1E+2",
        "true",
        "null",
        "\"\"",
        "\"a \\\" } ] { [ , : \\\\\"",
        "\"\\u0065ntry\\ud83d\"",
        "\"canary é\u{2028}\"",
        "\"Bundle\"",
        "12345678901234567890.123",
        "\"entry\"",
    ];
    select(scalars.to_vec()).prop_map(|scalar| Json::Scalar(scalar.to_owned()))
}

fn key() -> impl Strategy<Value = String> {
    let keys =
        ["a", "id", "entry", "resource", "contained", "type", "fullUrl", "resourceType", "}", "\u{e9}", ""];
    select(keys.to_vec()).prop_map(ToOwned::to_owned)
}

/// Any value.
pub(crate) fn value() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::Array),
            vec((key(), inner), 0..4).prop_map(Json::Object),
        ]
    })
}

/// Members of these names, where the dice say so, with others among them, in any order.
fn shuffled(members: Vec<BoxedStrategy<(String, Json)>>) -> impl Strategy<Value = Json> {
    let each: Vec<_> = members.into_iter().map(|member| prop::option::weighted(0.8, member)).collect();
    let all = each.prop_map(|members| members.into_iter().flatten().collect::<Vec<_>>());
    all.prop_shuffle().prop_map(Json::Object)
}

fn member(name: &'static str, value: impl Strategy<Value = Json> + 'static) -> BoxedStrategy<(String, Json)> {
    let names = match name {
        "entry" => vec!["entry", "entry", "\\u0065ntry", "entr\\u0079"],
        "resource" => vec!["resource", "resource", "re\\u0073ource"],
        name => vec![name],
    };
    (select(names).prop_map(ToOwned::to_owned), value).boxed()
}

fn texts(texts: &'static [&'static str]) -> impl Strategy<Value = Json> {
    select(texts).prop_map(Json::text)
}

/// A resource, or something in the place of one; Bundles too.
pub(crate) fn resource() -> BoxedStrategy<Json> {
    let plain = shuffled(vec![
        member("resourceType", texts(&["Patient", "List", "Binary", "\\u0042undle"])),
        member("id", value()),
        member("type", value()),
        member("entry", value()),
        member("contained", vec(value(), 0..3).prop_map(Json::Array)),
    ]);
    prop_oneof![4 => plain, 1 => value()].boxed()
}

fn entry(resource: BoxedStrategy<Json>) -> impl Strategy<Value = Json> {
    let whole = shuffled(vec![
        member("fullUrl", texts(&["urn:uuid:1", "http://a/Patient/1"])),
        member("resource", resource),
        member("search", value()),
        member("request", value()),
    ]);
    prop_oneof![9 => whole, 1 => value()]
}

/// A Bundle around such resources.
pub(crate) fn bundle(resource: &BoxedStrategy<Json>) -> BoxedStrategy<Json> {
    const TYPES: &[&str] = &[
        "collection",
        "searchset",
        "history",
        "transaction-response",
        "document",
        "message",
        "new",
        "batc\\u0068",
    ];
    let entries = || vec(entry(resource.clone()), 0..5).prop_map(Json::Array);
    let odd = || prop_oneof![8 => entries().boxed(), 1 => value().boxed()];
    let extra = prop_oneof![5 => Just(None), 1 => odd().prop_map(Some)];
    let members = shuffled(vec![
        member("resourceType", prop_oneof![8 => Just(Json::text("Bundle")), 1 => value()]),
        member("type", prop_oneof![8 => texts(TYPES), 1 => value()]),
        member("entry", odd()),
        member("id", value()),
        member("link", value()),
        member("signature", value()),
    ]);
    let twice = (members, extra).prop_map(|(bundle, extra)| match (bundle, extra) {
        (Json::Object(mut members), Some(again)) => {
            members.push(("entry".to_owned(), again));
            Json::Object(members)
        }
        (bundle, _) => bundle,
    });
    twice.boxed()
}

/// Providers with lists of resources.
fn providers() -> BoxedStrategy<Json> {
    let list = prop_oneof![9 => vec(resource(), 0..3).prop_map(Json::Array), 1 => value()];
    let lists = vec((select(vec!["Patient", "\\u0047oal", ""]).prop_map(ToOwned::to_owned), list), 0..3);
    let fhir = prop_oneof![9 => lists.prop_map(Json::Object), 1 => value()];
    let provider = shuffled(vec![member("name", value()), member("fhir", fhir), member("id", value())]);
    let all = vec(prop_oneof![9 => provider.boxed(), 1 => value().boxed()], 0..3).prop_map(Json::Array);
    let keys = select(vec!["providers", "provider\\u0073"]).prop_map(ToOwned::to_owned);
    let behind = vec((key(), value()), 0..2);
    let whole = (keys, prop_oneof![9 => all.boxed(), 1 => value().boxed()], behind);
    whole.prop_map(|(key, all, behind)| Json::Object([vec![(key, all)], behind].concat())).boxed()
}

/// A source: values of all kinds, and how each is written; `true` for all of them in one array.
pub(crate) fn source() -> impl Strategy<Value = String> {
    let nested = prop_oneof![3 => resource(), 1 => bundle(&resource())].boxed();
    let value = prop_oneof![4 => resource(), 6 => bundle(&nested), 1 => providers()];
    let values = vec((value, style(), select(&["", " ", "\n", "\r\n\r\n"][..])), 0..4);
    (values, prop::bool::weighted(0.3)).prop_map(|(values, in_array)| {
        let written = values.iter().map(|(value, style, gap)| (value.write(*style), gap));
        if in_array {
            let items: Vec<_> = written.map(|(value, gap)| format!("{gap}{value}{gap}")).collect();
            return format!("[{}]", items.join(","));
        }
        // Only objects are values of a source.
        written.filter(|(value, _)| value.starts_with('{')).map(|(value, gap)| value + gap).collect()
    })
}
