//! What a source's role makes of its records.

use fhirline_core::{Destination, SourceRole};
use fhirline_parse::{blank_length, elements, members, text_of};

/// Lines up to this length may be headers, white space included: a header is a name and a reference.
pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;

/// The sidecar to which a sound line of such a source goes; `None` if it is a record.
pub(crate) fn sidecar_of_line(role: SourceRole, resource_type: &str, line: &[u8]) -> Option<Destination> {
    let is_header = role == SourceRole::Organized && resource_type == "Parameters" && is_header(line);
    role.sidecar().or_else(|| is_header.then_some(Destination::Headers))
}

/// Whether a line that is a sound `Parameters` resource is the header of a block: it has a parameter named `header`
/// (<https://hl7.org/fhir/uv/bulkdata/export.html>, `organizeOutputBy`).
fn is_header(line: &[u8]) -> bool {
    let parameters = line.get(blank_length(line)..).unwrap_or_default();
    line.len() <= MAX_HEADER_BYTES
        && members(parameters)
            .any(|(key, list)| key == "parameter" && elements(list).any(is_header_parameter))
}

fn is_header_parameter(parameter: &[u8]) -> bool {
    members(parameter)
        .any(|(key, value)| key == "name" && text_of(value).is_some_and(|name| name == "header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_parameter_of_that_name() {
        for header in [
            r#"{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/1"}}]}"#,
            r#"{"parameter" : [ {"name":"x"} , {"valueString":"y","name" : "header"} ],"resourceType":"Parameters"}"#,
            r#"{"resourceType":"Parameters","p\u0061rameter":[{"n\u0061me":"he\u0061der"}]}"#,
        ] {
            assert_eq!(
                sidecar_of_line(SourceRole::Organized, "Parameters", header.as_bytes()),
                Some(Destination::Headers)
            );
            assert_eq!(sidecar_of_line(SourceRole::Organized, "Basic", header.as_bytes()), None, "{header}");
            assert_eq!(sidecar_of_line(SourceRole::Data, "Parameters", header.as_bytes()), None, "{header}");
        }
    }

    #[test]
    fn other_parameters_are_data() {
        let long = format!(
            r#"{{"parameter":[{{"name":"header","valueString":"{}"}}]}}"#,
            "x".repeat(MAX_HEADER_BYTES)
        );
        for data in [
            r#"{"resourceType":"Parameters"}"#,
            r#"{"resourceType":"Parameters","parameter":[{"name":"x","valueString":"header"}]}"#,
            r#"{"resourceType":"Parameters","name":"header","parameter":[]}"#,
            r#"{"resourceType":"Parameters","parameter":{"name":"header"}}"#,
            r#"{"resourceType":"Parameters","parameter":[{"part":[{"name":"header"}]}]}"#,
            r#"{"resourceType":"Parameters","parameter":[[{"name":"header"}],"name","header"]}"#,
            &long,
        ] {
            assert_eq!(
                sidecar_of_line(SourceRole::Organized, "Parameters", data.as_bytes()),
                None,
                "{data:.100}"
            );
        }
    }
}
