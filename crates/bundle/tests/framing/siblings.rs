//! One broken element of a source over several lines does not take those behind it along.

use std::ops::Range;

use fhirline_bundle::{Container, Ending, Kind, Options};

use crate::driver::{Seen, check_cuts, check_gaps, whole};

/// A text of several elements, and where each of them stands: from the white space before it on, or without what it shares
/// with others.
struct Source {
    text: String,
    elements: Vec<Range<usize>>,
    resources: Vec<String>,
    /// As far in elements begin and end.
    own: usize,
    /// So many bytes of the first one tell how they do.
    head: usize,
}

const RESOURCE: &str = r#"{
>"resourceType": "Patient",
>"id": "@",
>"name": [
>>{
>>>"given": ["A", "{"]
>>},
>>{}
>]
}"#;

/// Writes a text with `>` for each level of the indentation.
fn written(text: &str, step: &str, line_end: &str) -> String {
    text.replace('>', step).replace('\n', line_end)
}

/// Puts five elements in the place of `#`, with a resource in the place of `%`, as deep as that says.
fn source(around: &str, element: &str, step: &str, line_end: &str) -> Source {
    let (before, after) = around.split_once('#').expect("a place");
    let level = ">".repeat(before.len() - before.trim_end_matches('>').len());
    let before = before.trim_end_matches('>');
    let own = level.len() * step.len();
    let text = written(before, step, line_end);
    let mut source = Source { text, elements: vec![], resources: vec![], own, head: 0 };
    for index in 0..5 {
        let deeper = element.lines().find(|line| line.contains('%')).expect("a place");
        let deep = format!("{level}{}", ">".repeat(deeper.chars().take_while(|c| *c == '>').count()));
        let resource = RESOURCE.replace('@', &index.to_string()).replace('\n', &format!("\n{deep}"));
        let one = element.replace('\n', &format!("\n{level}")).replace('%', &resource);
        let begins = source.text.len();
        source.text += &written(&format!("{level}{one}{}", if index < 4 { "," } else { "" }), step, line_end);
        source.elements.push(begins..source.text.len());
        source.text += line_end;
        source.resources.push(written(&resource, step, line_end));
    }
    source.text += &written(after.strip_prefix('\n').expect("a line end"), step, line_end);
    source
}

/// Puts five elements in the place of `#` that share lines with their array and among each other, with a resource in the
/// place of `%`: each ends and begins as far in as that line.
fn sharing(around: &str, element: &str, step: &str, line_end: &str) -> Source {
    let (before, after) = around.split_once('#').expect("a place");
    let line = before.rsplit('\n').next().expect("a line");
    let level = &line[..line.chars().take_while(|c| *c == '>').count()];
    let own = level.len() * step.len();
    let (text, head) = (written(before, step, line_end) + " ", "{".len() + line_end.len());
    let mut source = Source { text, elements: vec![], resources: vec![], own, head };
    for index in 0..5 {
        let deeper = element.lines().find(|line| line.contains('%')).expect("a place");
        let deep = format!("{level}{}", ">".repeat(deeper.chars().take_while(|c| *c == '>').count()));
        let resource = SHARING_RESOURCE.replace('@', &index.to_string()).replace('\n', &format!("\n{deep}"));
        let one = element.replace('\n', &format!("\n{level}")).replace('%', &resource);
        let one = written(&one, step, line_end);
        let (within, _) = one.rsplit_once(line_end).expect("several lines");
        source.elements.push(source.text.len()..source.text.len() + within.len());
        source.text += &one;
        source.text += if index < 4 { ", " } else { " " };
        source.resources.push(written(&resource, step, line_end));
    }
    source.text += &written(after, step, line_end);
    source
}

const SHARING_RESOURCE: &str = r#"{
>"resourceType": "Patient",
>"id": "@",
>"name": [ {
>>"given": [ "A", "{" ]
>}, {
>>"given": [ "}, {" ]
>}, { } ]
}"#;

/// As many servers write it: members before and behind the entries hold objects that begin as far in as these.
fn sharing_bundle(step: &str, line_end: &str) -> Source {
    let links = ">\"link\": [ {\n>>\"relation\": \"self\"\n>}, {\n>>\"relation\": \"next\"\n>} ]";
    let around = format!(
        "{{\n>\"resourceType\": \"Bundle\",\n{links},\n>\"type\": \"searchset\",\n>\"entry\": [#],\n{links}\n}}\n"
    );
    sharing(&around, ENTRY, step, line_end)
}

fn sharing_array(step: &str, line_end: &str) -> Source {
    sharing("[#]\n", "%", step, line_end)
}

fn sharing_providers(step: &str, line_end: &str) -> Source {
    let around = "{\n>\"providers\": [ {\n>>\"name\": \"A\",\n>>\"fhir\": {\n>>>\"Patient\": [#],\n>>>\"Goal\": [ {} ]\n>>}\n>}, {\n>>\"fhir\": {}\n>} ]\n}\n";
    sharing(around, "%", step, line_end)
}

const ENTRY: &str =
    "{\n>\"fullUrl\": \"urn:uuid:1\",\n>\"resource\": %,\n>\"search\": {\n>>\"mode\": \"match\"\n>}\n}";

/// Members behind the entries hold objects that stand as far in as these.
fn bundle(step: &str, line_end: &str) -> Source {
    let around = "{\n>\"resourceType\": \"Bundle\",\n>\"type\": \"searchset\",\n>\"entry\": [\n>>#\n>],\n>\"link\": [\n>>{\n>>>\"relation\": \"self\"\n>>},\n>>{\n>>>\"relation\": \"next\"\n>>}\n>]\n}\n";
    source(around, ENTRY, step, line_end)
}

fn array(step: &str, line_end: &str) -> Source {
    source("[\n>#\n]\n", "%", step, line_end)
}

fn providers(step: &str, line_end: &str) -> Source {
    let around = "{\n>\"providers\": [\n>>{\n>>>\"name\": \"A\",\n>>>\"fhir\": {\n>>>>\"Patient\": [\n>>>>>#\n>>>>],\n>>>>\"Goal\": [\n>>>>>{}\n>>>>]\n>>>}\n>>},\n>>{\n>>>\"fhir\": {}\n>>}\n>]\n}\n";
    source(around, "%", step, line_end)
}

/// Each way to harm a text in one byte of a stretch, with these bytes; no bracket is taken away that is not among them.
fn harms(text: &str, stretch: Range<usize>, bytes: &'static [u8]) -> impl Iterator<Item = Vec<u8>> {
    let text = text.as_bytes();
    stretch.flat_map(move |at| {
        let put = move |byte: Option<u8>, instead: usize| -> Vec<u8> {
            text[..at].iter().copied().chain(byte).chain(text[at + instead..].iter().copied()).collect()
        };
        let inserted = bytes.iter().map(move |&byte| put(Some(byte), 0));
        let is_kept = b"[]{}".contains(&text[at]) && !bytes.contains(&text[at]);
        let instead = bytes.iter().copied().map(Some).chain([None]).filter(move |_| !is_kept);
        inserted.chain(instead.map(move |byte| put(byte, 1)))
    })
}

/// The parts of a kind: where each stands, and what it is.
fn parts(seen: &[Seen], wanted: Kind) -> Vec<(usize, String)> {
    let parts = seen.iter().filter_map(|seen| match seen {
        Seen::Part(at, kind, bytes, _) if *kind == wanted => {
            Some((at.byte as usize, String::from_utf8(bytes.0.clone()).expect("UTF-8")))
        }
        _ => None,
    });
    parts.collect()
}

/// Whether the elements behind a harm are lost for a good reason. Elements begin and end as far in as `own`.
fn is_out_of_reach(text: &[u8], own: usize, seen: &[Seen], harmed: Range<usize>) -> bool {
    // An array in the place of an element is nothing but JSON: all up to its end is that element.
    let is_array = text[harmed.start..].trim_ascii_start().starts_with(b"[");
    // Nor can a brace that is put where an element, or what is around it, might begin or end be told from that.
    let lines: Vec<&[u8]> = text[harmed].split(|&byte| byte == b'\n').collect();
    let begins_with = |line: &&[u8], brace: &[u8]| {
        let rest = line.trim_ascii_start();
        line.len() - rest.len() <= own && rest.starts_with(brace)
    };
    let is_misled = lines[1..].iter().any(|line| begins_with(line, b"{"))
        || lines[1..lines.len() - 1].iter().any(|line| begins_with(line, b"}"));
    // It was the array's own end, as far as can be seen.
    let closed = Seen::Ends(Container::Array, Ending::Closed);
    let is_closed = seen.iter().position(|seen| *seen == closed).is_some_and(|at| at + 1 < seen.len());
    is_array || is_misled || is_closed
}

/// Harms one element at every byte, and checks that all others come, and nothing else does; some of the texts cut in many
/// ways.
fn check(source: &Source, harmed: usize, bytes: &'static [u8]) {
    const CUT_ONE_IN: usize = 71;
    let stretch = &source.elements[harmed];
    let begin = stretch.start + if harmed == 0 { source.head } else { 0 };
    for (number, text) in harms(&source.text, begin..stretch.end, bytes).enumerate() {
        let seen = if number % CUT_ONE_IN == 0 { check_cuts(&text, &[77, 500]) } else { whole(&text) };
        check_gaps(&text, &seen);
        if is_out_of_reach(&text, source.own, &seen, stretch.clone()) {
            continue;
        }
        let shown = String::from_utf8_lossy(&text[stretch.clone()]);
        // A resource within the harmed element may be another one now.
        let behind = stretch.end + text.len() - source.text.len();
        let all = parts(&seen, Kind::Resource);
        let others = all.iter().filter(|(at, _)| *at < stretch.start || *at >= behind);
        let others: Vec<&String> = others.map(|(_, bytes)| bytes).filter(|bytes| *bytes != "{}").collect();
        let wanted = source.resources.iter().enumerate().filter(|(index, _)| *index != harmed);
        assert_eq!(others, wanted.map(|(_, bytes)| bytes).collect::<Vec<_>>(), "{shown}");
        let entries = parts(&seen, Kind::Entry);
        assert!(entries.iter().all(|(at, _)| stretch.contains(at)), "{shown}");
        let is_cut = seen.iter().any(|seen| matches!(seen, Seen::Ends(_, Ending::CutOff)));
        assert!(!is_cut, "{shown}");
    }
}

const ALL: &[u8] = b"\"[]{},";

const STYLES: [(&str, &str); 4] = [("  ", "\n"), ("\t", "\n"), ("  ", "\r\n"), (" ", "\n")];

#[test]
fn the_other_entries_of_a_bundle_come() {
    for (step, line_end) in STYLES {
        for harmed in [1, 4] {
            check(&bundle(step, line_end), harmed, ALL);
        }
    }
}

#[test]
fn the_other_elements_of_an_array_come() {
    for (step, line_end) in STYLES {
        for harmed in [1, 4] {
            check(&array(step, line_end), harmed, ALL);
        }
    }
}

#[test]
fn the_other_resources_of_a_list_come() {
    for (step, line_end) in STYLES {
        for harmed in [1, 4] {
            check(&providers(step, line_end), harmed, ALL);
        }
    }
}

#[test]
fn the_other_entries_of_a_bundle_come_where_they_share_lines() {
    for (step, line_end) in STYLES {
        for harmed in [0, 1, 4] {
            check(&sharing_bundle(step, line_end), harmed, ALL);
        }
    }
}

#[test]
fn the_other_elements_of_an_array_come_where_they_share_lines() {
    for (step, line_end) in STYLES {
        for harmed in [0, 1, 4] {
            check(&sharing_array(step, line_end), harmed, ALL);
        }
    }
}

#[test]
fn the_other_resources_of_a_list_come_where_they_share_lines() {
    for (step, line_end) in STYLES {
        for harmed in [0, 1, 4] {
            check(&sharing_providers(step, line_end), harmed, ALL);
        }
    }
}

/// Harms the line between two elements: none but these is lost. (Where the end of an array or a beginning in column 0 is put there, that is what it is.)
#[test]
fn a_harmed_line_between_elements_costs_these_two() {
    for source in [sharing_bundle("  ", "\n"), sharing_array("\t", "\r\n"), sharing_providers(" ", "\n")] {
        let between = source.elements[1].end..source.elements[2].start + 1;
        for text in harms(&source.text, between, b"\"},") {
            let seen = whole(&text);
            check_gaps(&text, &seen);
            let shown = String::from_utf8_lossy(&text[source.elements[1].start..source.elements[2].end]);
            let found: Vec<String> =
                parts(&seen, Kind::Resource).into_iter().map(|(_, bytes)| bytes).collect();
            for index in [0, 3, 4] {
                assert!(found.contains(&source.resources[index]), "{index} behind {shown}");
            }
        }
    }
}

/// As the common servers write a Bundle.
#[test]
fn one_broken_record_between_two_good_ones_in_shared_lines_is_rejected_alone() {
    let good = |id: u8| format!("{{\n      \"resourceType\": \"Goal\",\n      \"id\": \"{id}\"\n    }}");
    for broken in [
        "{\n      \"resourceType\": \"Patient\",\n      \"name\": [ {\n        \"text\": \"A\n      } ]\n    }",
        "{\n      \"resourceType\": \"Patient\",\n      \"name\": [ {\n        \"text\" \"A\"\n      ]\n    }",
        "{\n      \"resourceType\": \"Patient\",\n      \"name\": \n      } ]\n    }",
    ] {
        let bundle = format!(
            "{{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"batch\",\n  \"entry\": [ {{\n    \"resource\": {}\n  }}, {{\n    \"resource\": {broken}\n  }}, {{\n    \"resource\": {}\n  }} ]\n}}\n",
            good(1),
            good(2)
        );
        let seen = check_cuts(bundle.as_bytes(), &[20, 100]);
        check_gaps(bundle.as_bytes(), &seen);
        let resources: Vec<String> =
            parts(&seen, Kind::Resource).into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(resources, [good(1), good(2)], "{broken}");
        let rejected: Vec<usize> = seen.iter().filter_map(broken_at).collect();
        assert_eq!(rejected, [bundle.find(broken).expect("there")], "{broken}");
        assert_eq!(endings(&bundle), [Ending::Closed], "{broken}");
    }
}

/// The resource ends with the brace of its entry, and where that should end the next one begins.
#[test]
fn a_brace_that_is_missing_before_a_shared_line_breaks_nothing() {
    let entries = [
        "{\n    \"resource\": {\n      \"id\": \"1\"\n    }\n  }",
        "{\n    \"resource\": {\n      \"id\": \"2\"\n  }",
        "{\n    \"resource\": {\n      \"id\": \"3\"\n    }\n  }",
    ];
    let bundle = format!(
        "{{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"batch\",\n  \"entry\": [ {} ]\n}}\n",
        entries.join(", ")
    );
    let seen = check_cuts(bundle.as_bytes(), &[20, 100]);
    let ids: Vec<bool> = parts(&seen, Kind::Resource)
        .iter()
        .zip(1..)
        .map(|((_, bytes), id)| bytes.contains(&format!("\"id\": \"{id}\"")))
        .collect();
    assert_eq!(ids, [true; 3]);
    assert_eq!(seen.iter().filter_map(broken_at).count(), 0);
}

fn broken_at(seen: &Seen) -> Option<usize> {
    match seen {
        Seen::Part(at, Kind::Broken(_) | Kind::Undecided, ..) => Some(at.byte as usize),
        _ => None,
    }
}

#[test]
fn a_place_knows_where_the_next_element_would_begin() {
    let options = Options { max_held_bytes: 64, piece_bytes: 30, keep_bundles: false };
    for source in [
        bundle("\t", "\r\n"),
        array("  ", "\n"),
        providers(" ", "\n"),
        sharing_bundle("  ", "\n"),
        sharing_array("\t", "\r\n"),
        sharing_providers(" ", "\n"),
    ] {
        let harmed = source.elements[2].clone();
        for text in harms(&source.text, harmed, b"\"]").step_by(61) {
            crate::places::check(&text, options);
        }
    }
}

/// How the containers of a text end.
fn endings(text: &str) -> Vec<Ending> {
    let endings = check_cuts(text.as_bytes(), &[20]).into_iter().filter_map(|seen| match seen {
        Seen::Ends(_, ending) => Some(ending),
        _ => None,
    });
    endings.collect()
}

#[test]
fn what_a_fault_keeps_from_its_end_is_not_cut_off() {
    use Ending::{Abandoned, Closed, CutOff};
    let head = r#"{"resourceType":"Bundle","type":"batch","entry":["#;
    for (rest, wanted) in [
        (r#"{"resource":{}},]}"#, Abandoned),
        (r#"{"resource":{}} {"resource":{}}]}"#, Abandoned),
        (r#"{"resource":{}}}]}"#, Abandoned),
        ("{\"resource\":{}}] // c\n}", Abandoned),
        (r#"{"resource":{"a":"b"c"}}]}"#, Abandoned),
        (r#"{"resource":{"a" 1}}]}"#, Closed),
        (r#"{"resource":{"a":1}},{"resource":{"b"#, CutOff),
        (r#"{"resource":{"a" 1}},{"resource":{"b"#, CutOff),
        (r#"{"resource":{"a":1}}]"#, CutOff),
    ] {
        assert_eq!(endings(&format!("{head}{rest}")), [wanted], "{rest}");
        let around = if wanted == Closed { CutOff } else { wanted };
        assert_eq!(endings(&format!("[{head}{rest}")), [wanted, around], "{rest}");
    }
    for (text, wanted) in [
        ("[{\"a\":1},]", &[Abandoned][..]),
        ("[{\"a\" 1},{}]", &[Closed]),
        ("[{\"a\":\"}]", &[CutOff]),
        ("[{\"a\":[}]", &[Closed]),
        ("[{\"a\":{]", &[Abandoned]),
        (r#"{"entry":[{}],"type":"batch","#, &[CutOff]),
        (r#"{"entry":[{}],"type":"batch",]"#, &[]),
        (r#"{"providers":[{"fhir":{"Goal":[{},]}}]}"#, &[Abandoned]),
        (r#"{"providers":[{"fhir":{"Goal":[{}"#, &[CutOff]),
    ] {
        assert_eq!(endings(text), wanted, "{text}");
    }
}
