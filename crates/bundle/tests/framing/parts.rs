//! What can be asked of a part.

use fhirline_bundle::{Framed, Framer, Kind, Options};
use fhirline_core::{BadRecord, Fault, SourceId};

/// What the proof says of each part of a kind, and its key and value if it has both.
type Proven = (Result<(), BadRecord>, Option<(String, String)>);

fn prove(text: &str, kind: Kind) -> Vec<Proven> {
    let mut framer = Framer::new(SourceId(0), Options::default());
    framer.adopt(text.as_bytes().to_vec());
    framer.finish();
    let mut all = Vec::new();
    while let Some(framed) = framer.next() {
        let Framed::Part(part) = framed else { continue };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let member = part.member().map(|(key, value)| (text(key), text(value)));
        assert!(!part.proven || part.prove().is_ok());
        if part.kind == kind {
            all.push((part.prove(), member));
        }
    }
    all
}

fn bad(fault: Fault, at: u64) -> Result<(), BadRecord> {
    Err(BadRecord { fault, at })
}

#[test]
fn members_are_proven_with_their_keys() {
    let text = r#"{"resourceType":"Bundle","type":"batch","a\"\\" : [1.0 ],"\x":1,"id":01,"b":{"c":"\u12"}}"#;
    let proven = prove(text, Kind::BundleMember);
    let verdicts: Vec<_> = proven.iter().map(|(verdict, _)| *verdict).collect();
    let (ok, no) = (Ok(()), Fault::NotJson);
    assert_eq!(verdicts, [ok, ok, ok, bad(no, 2), bad(Fault::SeveralValues, 6), bad(no, 14)]);
    assert_eq!(proven[2].1, Some((r#""a\"\\""#.to_owned(), "[1.0 ]".to_owned())));
    assert_eq!(proven[4].1, Some((r#""id""#.to_owned(), "01".to_owned())));
}

#[test]
fn values_are_proven() {
    let text = r#"[{"a":1},{"a":1.},tru,"x",{"entry":[]}]"#;
    let verdicts: Vec<_> = prove(text, Kind::Resource).into_iter().collect();
    let no = Fault::NotJson;
    let wanted = [Ok(()), bad(no, 7), bad(Fault::Incomplete, 3), Ok(()), Ok(())];
    assert_eq!(verdicts, wanted.map(|verdict| (verdict, None)));
    let names = prove(r#"{"providers":[{"fhir":{"Goal":[],"\u00":[]}}]}"#, Kind::ListName);
    assert_eq!(names, [(Ok(()), None), (bad(no, 5), None)]);
    let entries =
        prove(r#"{"resourceType":"Bundle","type":"batch","entry":[{"a":[]},{"a":-}]}"#, Kind::Entry);
    assert_eq!(entries, [(Ok(()), None), (bad(no, 6), None)]);
}
