use memchr::memchr2;

/// Deeper levels are not moved further to the right: else a hostile value would grow to a thousand times its length.
const MOST_INDENTED: u32 = 64;

/// How deep the resource of an entry stands in a Bundle.
const RESOURCE_DEPTH: u32 = 3;

/// Lays JSON out for people: white space between tokens, and nothing else, is changed. Strings and numbers stay as they are.
///
/// It can be given the value in pieces cut anywhere. It proves nothing: what is no JSON comes out as something that is none.
///
/// ```
/// use fhirline_bundle::Pretty;
///
/// let (mut pretty, mut text) = (Pretty::default(), Vec::new());
/// for piece in [&br#"{"value":1.00,"te"#[..], br#"xt" :"{a:  b}","none":[ ]}"#] {
///     pretty.push(piece, &mut text);
/// }
/// assert_eq!(text, br#"{
///   "value": 1.00,
///   "text": "{a:  b}",
///   "none": []
/// }"#);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Pretty {
    depth: u32,
    place: Place,
    /// Whether the innermost object or array has nothing in it yet.
    fresh: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Between,
    Text,
    Escape,
}

impl Pretty {
    /// For a resource as it stands in an entry, to measure it.
    pub(super) fn of_resource() -> Self {
        Self { depth: RESOURCE_DEPTH, ..Self::default() }
    }

    /// Appends the next piece to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            let length = match self.place {
                Place::Between => self.between(first, rest, out),
                Place::Text => self.text(rest, out),
                Place::Escape => {
                    self.place = Place::Text;
                    out.push(first);
                    1
                }
            };
            rest = &rest[length..];
        }
    }

    fn between(&mut self, first: u8, rest: &[u8], out: &mut Vec<u8>) -> usize {
        match first {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' | b'[' => {
                self.item(out);
                out.push(first);
                self.depth += 1;
                self.fresh = true;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.fresh) {
                    self.line(out);
                }
                out.push(first);
            }
            b',' => {
                out.push(first);
                self.line(out);
            }
            b':' => out.extend_from_slice(b": "),
            b'"' => {
                self.item(out);
                out.push(first);
                self.place = Place::Text;
            }
            _ => {
                self.item(out);
                let ends = |byte: &u8| b" \t\r\n,:[]{}\"".contains(byte);
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..length]);
                return length;
            }
        }
        1
    }

    fn text(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let end = memchr2(b'"', b'\\', rest);
        let length = end.map_or(rest.len(), |end| end + 1);
        out.extend_from_slice(&rest[..length]);
        self.place = match end.map(|end| rest[end]) {
            Some(b'"') => Place::Between,
            Some(_) => Place::Escape,
            None => Place::Text,
        };
        length
    }

    /// A value or a key begins: the first one of an object or array has a line of its own, too.
    fn item(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.fresh) {
            self.line(out);
        }
    }

    fn line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + 2 * self.depth.min(MOST_INDENTED) as usize, b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn pretty(text: &[u8], cut: usize) -> Vec<u8> {
        let (mut pretty, mut out) = (Pretty::default(), Vec::new());
        text.chunks(cut).for_each(|piece| pretty.push(piece, &mut out));
        out
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\PC\"\\\\{}\\[\\],: ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\]{0,3}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_serde_json_writes(value in value(), cut in 1..9_usize) {
            let wanted = serde_json::to_string_pretty(&value).expect("a value");
            for text in [value.to_string(), wanted.clone()] {
                let laid_out = String::from_utf8(pretty(text.as_bytes(), cut)).expect("UTF-8");
                prop_assert_eq!(&laid_out, &wanted);
            }
        }
    }

    #[test]
    fn numbers_stay_as_they_are() {
        assert_eq!(pretty(b"[1.00,-1E+2 ,\n0]", 2), b"[\n  1.00,\n  -1E+2,\n  0\n]");
    }

    #[test]
    fn depth_does_not_blow_it_up() {
        let text = [vec![b'['; 1000], b"1,".repeat(1000), b"1".to_vec(), vec![b']'; 1000]].concat();
        assert!(pretty(&text, 100).len() < 70 * text.len() * 2);
        // What is no JSON does not make it fail.
        pretty(b"]]]}{[\"", 1);
    }
}
