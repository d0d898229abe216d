use fhirline_core::{BadRecord, Destination, Fault, Fragment, Ledger, Position, SourceRole, Verdict};
use fhirline_parse::{ScannedEnvelope, Scanner};

use crate::parts::is_about_type;
use crate::place::destination_of;
use crate::role::{MAX_HEADER_BYTES, sidecar_of_line};
use crate::{Grouping, Router};

/// Decides what becomes of a line that comes in fragments: the same as [`Router::route`] does for the line as a whole.
///
/// ```
/// use fhirline_core::{Fragment, Position, SourceRole, Verdict};
/// use fhirline_route::Router;
///
/// let router = Router::default();
/// let mut route = router.route_long(Position::default(), SourceRole::Data);
/// for (offset, bytes) in [(0, &b" {\"resourceType\":"[..]), (17, b"\"Goal\"}")] {
///     let (line_at, last) = (Position::default(), offset > 0);
///     route.push(&Fragment { line_at, offset, bytes: bytes.to_vec(), last, terminator_bytes: 0 });
/// }
/// let routed = route.finish(&router, 1, u64::MAX);
/// assert!(matches!(routed.verdict, Verdict::Delivered { record, .. } if record == (1..24)));
/// assert_eq!(routed.ledger.check(), Ok(()));
/// ```
#[derive(Debug)]
pub struct LongRoute {
    scanner: Scanner,
    at: Position,
    length: u64,
    role: SourceRole,
    /// The line so far, as long as it may be a header.
    header: Option<Vec<u8>>,
}

impl Router {
    /// The beginning of a line of such a source that is too long to be held.
    #[must_use]
    pub fn route_long(&self, at: Position, role: SourceRole) -> LongRoute {
        let header = (role == SourceRole::Organized).then(Vec::new);
        LongRoute { scanner: Scanner::new(self.proof), at, length: 0, role, header }
    }
}

impl LongRoute {
    /// Where the line begins.
    #[must_use]
    pub fn at(&self) -> Position {
        self.at
    }

    /// Bytes of the line so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next fragment of the line.
    pub fn push(&mut self, fragment: &Fragment) {
        self.push_bytes(&fragment.bytes);
    }

    /// Takes the next bytes of the line.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes);
        self.length += bytes.len() as u64;
        match &mut self.header {
            Some(header) if header.len() + bytes.len() <= MAX_HEADER_BYTES => header.extend_from_slice(bytes),
            header => *header = None,
        }
    }

    /// What becomes of the line. A line longer than `max_line_bytes` is rejected.
    #[must_use]
    pub fn finish(self, router: &Router, terminator_bytes: u8, max_line_bytes: u64) -> RoutedLine {
        let length = self.length;
        let mut ledger = Ledger::default();
        ledger.bytes.read = length + u64::from(terminator_bytes);
        ledger.bytes.terminators = u64::from(terminator_bytes);
        let (mut is_bundle, mut of_type) = (false, None);
        let verdict = if length > max_line_bytes {
            rejected(BadRecord { fault: Fault::TooLong, at: 0 }, length, &mut ledger)
        } else if self.scanner.is_blank() {
            ledger.blank_lines = 1;
            ledger.bytes.white_space = length;
            Verdict::Blank
        } else {
            match self.scanner.finish_line() {
                Ok(found) => {
                    let line = self.header.as_deref().unwrap_or_default();
                    match sidecar_of_line(self.role, &found.resource_type, line) {
                        Some(sidecar) => place_beside(sidecar, &found, length, &mut ledger),
                        None => {
                            is_bundle = found.resource_type == "Bundle";
                            of_type = Some(destination_of(&found.resource_type));
                            router.place_long(&found, length, &mut ledger)
                        }
                    }
                }
                Err(why) => rejected(why, length, &mut ledger),
            }
        };
        RoutedLine { verdict, ledger, is_bundle, of_type }
    }

    /// What becomes of what was pushed if it is no record but a line for a sidecar: an object, with a type or without.
    #[must_use]
    pub fn finish_beside(self, sidecar: Destination) -> RoutedLine {
        let length = self.length;
        let mut ledger = Ledger::default();
        ledger.bytes.read = length;
        let verdict = match self.scanner.finish() {
            Err(why) if !is_about_type(why.fault) => rejected(why, length, &mut ledger),
            _ => {
                ledger.count_beside(sidecar, length);
                Verdict::Delivered { destination: sidecar, record: 0..length }
            }
        };
        RoutedLine { verdict, ledger, is_bundle: false, of_type: None }
    }
}

/// What [`LongRoute::finish`] says of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedLine {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Its account.
    pub ledger: Ledger,
    /// Whether it is a sound FHIR Bundle, and a record.
    pub is_bundle: bool,
    /// Where it would go by its type, if it is a sound record.
    pub of_type: Option<Destination>,
}

impl Router {
    fn place_long(&self, found: &ScannedEnvelope, length: u64, ledger: &mut Ledger) -> Verdict {
        if let Some(fault) = self.ids.fault(&found.resource_type, found.id.as_ref()) {
            return rejected(BadRecord { fault, at: 0 }, length, ledger);
        }
        let of_type = destination_of(&found.resource_type);
        let record = found.value.clone();
        let bytes = record.end - record.start;
        ledger.records.read = 1;
        ledger.bytes.white_space = length - bytes;
        if !self.selection.wants(&of_type) {
            ledger.records.filtered = 1;
            ledger.bytes.filtered = bytes;
            return Verdict::Filtered { destination: of_type, record };
        }
        ledger.records.delivered = 1;
        ledger.bytes.delivered = bytes;
        ledger.duplicate_keys = u64::from(found.duplicate_keys > 0);
        ledger.unknown_types = u64::from(of_type == Destination::Unknown);
        let destination = match self.grouping {
            Grouping::ByType => of_type,
            Grouping::Together => Destination::Together,
        };
        Verdict::Delivered { destination, record }
    }
}

fn place_beside(sidecar: Destination, found: &ScannedEnvelope, length: u64, ledger: &mut Ledger) -> Verdict {
    let record = found.value.clone();
    let bytes = record.end - record.start;
    ledger.bytes.white_space = length - bytes;
    ledger.count_beside(sidecar, bytes);
    Verdict::Delivered { destination: sidecar, record }
}

fn rejected(why: BadRecord, length: u64, ledger: &mut Ledger) -> Verdict {
    ledger.records.read = 1;
    ledger.records.quarantined = 1;
    ledger.bytes.quarantined = length;
    Verdict::Rejected(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdRule, Proof, Scratch, Selection};
    use fhirline_core::{Batch, Chunk, Lease, Lines, ResourceType, SourceId};
    use proptest::prelude::*;

    const AT: Position = Position { source: SourceId(3), byte: 100, line: 7 };

    const ROLES: [SourceRole; 4] =
        [SourceRole::Data, SourceRole::Organized, SourceRole::Deleted, SourceRole::Errors];

    fn in_fragments(
        router: &Router,
        role: SourceRole,
        content: &[u8],
        cuts: &[usize],
        terminator_bytes: u8,
    ) -> RoutedLine {
        let mut route = router.route_long(AT, role);
        let mut from = 0;
        for &cut in cuts.iter().chain([&content.len()]) {
            let bytes = content[from..cut.max(from)].to_vec();
            let (offset, last) = (from as u64, cut == content.len());
            from += bytes.len();
            route.push(&Fragment { line_at: AT, offset, bytes, last, terminator_bytes });
        }
        assert_eq!((route.length(), route.at()), (content.len() as u64, AT));
        route.finish(router, terminator_bytes, u64::MAX)
    }

    fn as_a_whole(router: &Router, role: SourceRole, line: &[u8]) -> Batch {
        let lines = Lines { at: AT, bytes: line.to_vec(), ends: vec![line.len() as u32] };
        let chunk = Chunk { sequence: 0, role, content: lines.into(), lease: Lease::free_of_charge() };
        router.route(chunk, Batch::default(), &mut Scratch::default()).0
    }

    /// Both ways say the same.
    fn compare(router: &Router, role: SourceRole, content: &[u8], cuts: &[usize], terminator: &[u8]) {
        let routed = in_fragments(router, role, content, cuts, terminator.len() as u8);
        let batch = as_a_whole(router, role, &[content, terminator].concat());
        assert_eq!(routed.ledger, batch.ledger);
        match &routed.verdict {
            Verdict::Blank => assert_eq!(batch.ledger.blank_lines, 1),
            Verdict::Delivered { destination, record } => {
                assert_eq!(*destination, batch.runs[0].destination);
                let bytes = &content[record.start as usize..record.end as usize];
                assert_eq!([bytes, b"\n"].concat(), batch.bytes);
            }
            Verdict::Filtered { destination, record } => {
                assert_eq!(*destination, batch.filtered[0].destination);
                assert_eq!(record.end - record.start, batch.filtered[0].bytes);
            }
            Verdict::Rejected(why) => assert_eq!(*why, batch.rejects[0].why),
        }
    }

    fn routers() -> impl Strategy<Value = Router> {
        let goals =
            Selection { except: ResourceType::new("Goal").into_iter().collect(), ..Selection::default() };
        let selection = prop_oneof![Just(Selection::default()), Just(goals)];
        let grouping = prop_oneof![Just(Grouping::ByType), Just(Grouping::Together)];
        (selection, grouping).prop_map(|(selection, grouping)| Router {
            proof: Proof::Full,
            selection,
            grouping,
            ids: IdRule::Any,
            filters: None,
        })
    }

    fn contents() -> impl Strategy<Value = Vec<u8>> {
        let token = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            " ",
            "\t",
            "\"resourceType\"",
            "\"id\"",
            "\"Goal\"",
            "\"Patient\"",
            "\"x y\"",
            "1",
            "null",
            "\u{FEFF}",
            "\"\\u00e9\"",
            "\r",
            "{\"resourceType\":\"Goal\"}",
            "{\"resourceType\":\"Parameters\",\"parameter\":[{\"name\":\"header\"}]}",
            "{\"resourceType\":\"Bundle\",\"entry\":[]}",
            "{\"resourceType\":\"no type\"}",
        ]);
        prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn a_line_in_fragments_goes_where_the_whole_line_goes(
            router in routers(),
            role in prop::sample::select(&ROLES),
            content in contents(),
            mut cuts in prop::collection::vec(0usize..200, 0..8),
            crlf in any::<bool>(),
        ) {
            // A CR right before the line end is a part of it; two would leave one.
            let kept = content.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
            let content = &content[..kept];
            cuts.retain(|&cut| cut <= content.len());
            cuts.sort_unstable();
            compare(&router, role, content, &cuts, if crlf { b"\r\n" } else { b"\n" });
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_rejected_whole() {
        let router = Router::default();
        let mut route = router.route_long(AT, SourceRole::Data);
        let bytes = b"{\"resourceType\":\"Goal\"}".to_vec();
        let length = bytes.len() as u64;
        route.push(&Fragment { line_at: AT, offset: 0, bytes, last: true, terminator_bytes: 1 });
        let routed = route.finish(&router, 1, length - 1);
        assert_eq!(routed.verdict, Verdict::Rejected(BadRecord { fault: Fault::TooLong, at: 0 }));
        assert_eq!(routed.ledger.bytes.quarantined, length);
    }
}
