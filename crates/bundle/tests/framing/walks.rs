//! The quick way to the end of a part. That it changes nothing is checked wherever texts are cut; here is where it is taken.

use fhirline_bundle::{BundleType, Framed, Framer, Kind, Known, Options};
use fhirline_core::SourceId;

use crate::driver::{frame, start};

/// Which of the resources of a text are proven.
fn proven(text: &[u8]) -> Vec<bool> {
    let mut framer = Framer::new(SourceId(0), Options::default());
    framer.adopt(text.to_vec());
    framer.finish();
    let mut all = Vec::new();
    while let Some(framed) = framer.next() {
        match framed {
            Framed::Part(part) if part.kind == Kind::Resource => all.push(part.proven),
            _ => {}
        }
    }
    all
}

#[test]
fn resources_are_proven_where_they_are() {
    let bundle = |resources: &str| {
        format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{resources}}}]}}"#)
    };
    for (text, wanted) in [
        (bundle(r#"{"a":1}"#), vec![true]),
        (bundle(r#"{"a":01}"#), vec![false]),
        (
            bundle(r#"[]},{"resource":1},{"resource":"x"}"#).replacen("}}]}", "}]}", 1),
            vec![true, false, false],
        ),
        (bundle(r#"{"resourceType":"Bundle","type":"batch","entry":[]}"#), vec![true]),
        (r#"{"resourceType":"Goal"}{"id":1,"resourceType":"Goal"}"#.to_owned(), vec![true, true]),
        (r#"[{"id":1,"id":2,"resourceType":"Goal"},{"type":"x"},{}]"#.to_owned(), vec![false, true, false]),
        (r#"{"id":1,"resourceType":"Bundle","type":"document"}"#.to_owned(), vec![false]),
    ] {
        assert_eq!(proven(text.as_bytes()), wanted, "{text}");
    }
}

/// What was looked through once is not walked over again: neither a Bundle that is told from its end, nor the head of one.
#[test]
fn resources_of_a_second_look_are_proven_elsewhere() {
    let text = br#"{"entry":[{"resource":{"a":"]"}},{"resource":{"b":"}"}}],"type":"batch","resourceType":"Bundle","id":"1"}"#;
    let head = text.len() - br#","id":"1"}"#.len();
    for (known, bytes) in
        [(Known::Bundle(BundleType::Batch), &text[..]), (Known::BundleHead(BundleType::Batch), &text[..head])]
    {
        let mut framer = Framer::again(known, start(), 0, Options::default());
        framer.adopt(bytes.to_vec());
        framer.finish();
        let mut resources = Vec::new();
        while let Some(framed) = framer.next() {
            match framed {
                Framed::Part(part) if part.kind == Kind::Resource => {
                    resources.push((String::from_utf8_lossy(part.bytes).into_owned(), part.proven));
                }
                _ => {}
            }
        }
        let wanted = [r#"{"a":"]"}"#, r#"{"b":"}"}"#].map(|resource| (resource.to_owned(), false));
        assert_eq!(resources, wanted, "{known:?}");
    }
}

/// What is held of a long value is walked over again and again, but not always.
#[test]
fn long_values_come_out_the_same() {
    const READ: usize = 128 << 10;
    for bytes in [READ - 20, READ, 3 * READ, (1 << 20) - 30, (1 << 20) + 30, 5 << 19] {
        for tail in ["]}", "}", ",x]}", "\"", ""] {
            let value = format!("{{\"resourceType\":\"Goal\",\"a\":[\"{}\"{tail}", "x".repeat(bytes));
            let text = format!("[\n{value}\n,{{}}\n,\n{{\"b\":1}}\n]");
            let cuts: Vec<usize> =
                (1..).map(|read| read * READ).take_while(|cut| *cut < text.len()).collect();
            let framer = || Framer::at(start(), Options::default());
            let walked = frame(framer(), text.as_bytes(), &cuts);
            // Not by `assert_eq`: nobody wants to read that.
            assert!(walked == frame(framer().only_skimming(), text.as_bytes(), &[]), "{bytes} and {tail}");
        }
    }
}
