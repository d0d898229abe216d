use super::random::Rng;
use super::words;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// What long ids are made of: the characters that FHIR allows in an id.
const ID: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Some vendors' ids are this long, although FHIR allows 64.
const LONG_ID: usize = 88;
/// How many long ids references choose from at a time: neighbouring lines point at the same encounters and people.
const POOL: usize = 12;

/// A resource with gaps: literal text, each piece followed by the slot to fill after it.
pub(super) struct Template(Vec<(String, Option<u8>)>);

impl Template {
    /// Reads `text`: white space around each line is dropped, and `~x` is the slot `x` (see [`Filler::fill`]).
    pub(super) fn new(text: &str) -> Self {
        let joined: String = text.lines().map(str::trim).collect();
        let mut parts = joined.split('~');
        let mut pieces = vec![(parts.next().unwrap_or_default().to_owned(), None)];
        for part in parts {
            let (slot, literal) = part.split_at(1);
            if let Some(last) = pieces.last_mut() {
                last.1 = slot.bytes().next();
            }
            pieces.push((literal.to_owned(), None));
        }
        Self(pieces)
    }

    /// Appends one filled copy to `out`.
    pub(super) fn fill(&self, filler: &mut Filler, out: &mut Vec<u8>) {
        for (literal, slot) in &self.0 {
            out.extend_from_slice(literal.as_bytes());
            if let Some(slot) = slot {
                filler.fill(*slot, out);
            }
        }
    }
}

/// What the slots are filled with.
pub(super) struct Filler {
    pub(super) rng: Rng,
    seed: u64,
    /// Patients that references may point at.
    patients: u32,
    /// Ordinal of the next Patient line.
    patient: u32,
    /// The unit that goes with the measurement named last.
    unit: &'static str,
    /// The long ids that references choose from, end to end.
    pool: Vec<u8>,
}

impl Filler {
    pub(super) fn new(seed: u64, patients: u32) -> Self {
        let (mut rng, mut pool) = (Rng::new(seed), Vec::new());
        rng.letters(POOL * LONG_ID, ID, &mut pool);
        Self { rng, seed, patients, patient: 0, unit: "1", pool }
    }

    fn fill(&mut self, slot: u8, out: &mut Vec<u8>) {
        match slot {
            b'u' => self.uuid(out),
            b'l' => self.rng.letters(LONG_ID, ID, out),
            b'L' => self.referred_id(out),
            b'i' => self.number(10_000_000, 99_999_999, out),
            b'n' => self.number(1, 30, out),
            b'p' => self.own_patient(out),
            b'P' => self.any_patient(out),
            b'D' => self.date(out),
            b'T' => self.date_time(out),
            b'v' => self.decimal(out),
            b'k' => self.measurement(out),
            b'q' => push(out, self.unit),
            b'c' => self.coded("C", words::CONDITIONS, out),
            b'm' => self.coded("M", words::MEDICATIONS, out),
            b'a' => self.coded("A", words::ACTIVITIES, out),
            b'z' => self.coded("V", words::VACCINES, out),
            b'G' => push(out, self.rng.pick(words::GIVEN)),
            b'F' => push(out, self.rng.pick(words::FAMILY)),
            b'C' => push(out, self.rng.pick(words::CITIES)),
            b'O' => push(out, self.rng.pick(words::ORGANIZATIONS)),
            b't' => push(out, self.rng.pick(words::SENTENCES)),
            b's' => self.paragraph(out),
            b'x' => self.narrative(["<", ">"], out),
            b'X' => self.narrative(["\\u003c", "\\u003e"], out),
            b'h' => self.phone(out),
            b'R' => self.contact_points(out),
            b'b' => self.small_base64(out),
            // Left as it stands; a test looks for it.
            _ => out.extend_from_slice(&[b'~', slot]),
        }
    }

    fn number(&mut self, least: u32, most: u32, out: &mut Vec<u8>) {
        let number = least + self.rng.below(most - least + 1);
        digits(number, 1, out);
    }

    fn uuid(&mut self, out: &mut Vec<u8>) {
        let (high, low) = (self.rng.next(), self.rng.next());
        uuid(high, low, out);
    }

    /// A long id that other references use too; one in sixteen times it is new.
    fn referred_id(&mut self, out: &mut Vec<u8>) {
        let at = self.rng.below(POOL as u32) as usize * LONG_ID;
        out.extend_from_slice(&self.pool[at..at + LONG_ID]);
        if self.rng.below(16) == 0 {
            let mut fresh = Vec::with_capacity(LONG_ID);
            self.rng.letters(LONG_ID, ID, &mut fresh);
            self.pool[at..at + LONG_ID].copy_from_slice(&fresh);
        }
    }

    /// The id of patient number `n`: the same wherever it is written.
    fn patient_id(&self, n: u32, out: &mut Vec<u8>) {
        let mut rng = Rng::new(self.seed ^ (u64::from(n) << 32));
        uuid(rng.next(), rng.next(), out);
    }

    fn own_patient(&mut self, out: &mut Vec<u8>) {
        self.patient_id(self.patient, out);
        self.patient += 1;
    }

    fn any_patient(&mut self, out: &mut Vec<u8>) {
        let n = self.rng.below(self.patients);
        self.patient_id(n, out);
    }

    fn date(&mut self, out: &mut Vec<u8>) {
        digits(1996 + self.rng.below(30), 4, out);
        out.push(b'-');
        digits(1 + self.rng.below(12), 2, out);
        out.push(b'-');
        digits(1 + self.rng.below(28), 2, out);
    }

    fn date_time(&mut self, out: &mut Vec<u8>) {
        self.date(out);
        for (mark, below) in [(b'T', 24), (b':', 60), (b':', 60)] {
            out.push(mark);
            digits(self.rng.below(below), 2, out);
        }
        push(out, self.rng.pick(&["Z", "Z", ".000Z", "+00:00", "-05:00", ".417Z"]));
    }

    /// A decimal whose text matters: `1.00`, `7.10`, `0.010`, now and then an exponent.
    fn decimal(&mut self, out: &mut Vec<u8>) {
        digits(self.rng.below(180), 1, out);
        match self.rng.below(8) {
            0 => push(out, ".00"),
            1 => push(out, ".10"),
            2 => push(out, ".010"),
            3 | 4 => {
                out.push(b'.');
                digits(self.rng.below(100), 2, out);
            }
            5 => push(out, self.rng.pick(&[".0", ".5", "E0", "e+1", ".25E1"])),
            _ => {}
        }
    }

    fn measurement(&mut self, out: &mut Vec<u8>) {
        let n = self.rng.below(words::MEASUREMENTS.len() as u32);
        let (display, unit) = words::MEASUREMENTS[n as usize];
        self.unit = unit;
        code("L", n, display, out);
    }

    fn coded(&mut self, prefix: &str, displays: &[&'static str], out: &mut Vec<u8>) {
        let n = self.rng.below(displays.len() as u32);
        code(prefix, n, displays[n as usize], out);
    }

    fn paragraph(&mut self, out: &mut Vec<u8>) {
        for _ in 0..4 + self.rng.below(4) {
            push(out, self.rng.pick(words::SENTENCES));
            push(out, self.rng.pick(&[" ", " ", "\\r\\n", "\\n\\n"]));
        }
    }

    /// An XHTML narrative, with `<` and `>` as they are or escaped as some serializers do.
    fn narrative(&mut self, [lt, gt]: [&str; 2], out: &mut Vec<u8>) {
        let tag = |name: &str, out: &mut Vec<u8>| {
            push(out, lt);
            push(out, name);
            push(out, gt);
        };
        tag("div xmlns=\\\"http://www.w3.org/1999/xhtml\\\"", out);
        tag("p", out);
        push(out, self.rng.pick(words::SENTENCES));
        tag("/p", out);
        for _ in 0..1 + self.rng.below(3) {
            tag("p class=\\\"row\\\"", out);
            push(out, self.rng.pick(words::SENTENCES));
            tag("/p", out);
        }
        tag("/div", out);
    }

    fn phone(&mut self, out: &mut Vec<u8>) {
        push(out, "555-01");
        digits(self.rng.below(100), 2, out);
    }

    /// Entries that carry a `resourceType` of their own although they are no resources.
    fn contact_points(&mut self, out: &mut Vec<u8>) {
        for n in 0..3 + self.rng.below(12) {
            push(out, if n == 0 { "" } else { "," });
            push(out, r#"{"resourceType":"ContactPoint","system":"phone","value":""#);
            self.phone(out);
            push(out, r#"","use":"home"}"#);
        }
    }

    fn small_base64(&mut self, out: &mut Vec<u8>) {
        let groups = 150 + self.rng.below(600) as usize;
        self.base64(groups * 4, out);
    }

    /// Appends `n` characters of base64.
    pub(super) fn base64(&mut self, n: usize, out: &mut Vec<u8>) {
        self.rng.letters(n, BASE64, out);
    }
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends `number` with at least `width` digits.
fn digits(mut number: u32, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    while number > 0 || out.len() - start < width {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
    }
    out[start..].reverse();
}

fn uuid(high: u64, low: u64, out: &mut Vec<u8>) {
    for (n, bits) in [high, low].into_iter().flat_map(u64::to_be_bytes).enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(bits >> 4)]);
        out.push(HEX[usize::from(bits & 15)]);
    }
}

/// Appends the members of a Coding: `"code":"L-007","display":"..."`.
fn code(prefix: &str, n: u32, display: &str, out: &mut Vec<u8>) {
    push(out, r#""code":""#);
    push(out, prefix);
    out.push(b'-');
    digits(n, 3, out);
    push(out, r#"","display":""#);
    push(out, display);
    out.push(b'"');
}
