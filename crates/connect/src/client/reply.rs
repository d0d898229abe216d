//! Answers: `{"success": bool, "error"?: text, "data": …}`, read leniently.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ConnectError;

/// Most characters of what a server says of an error that are shown.
const MAX_MESSAGE: usize = 200;

/// What is under `data`.
pub(super) fn wrapped<T: DeserializeOwned>(step: &'static str, body: &[u8]) -> Result<T, ConnectError> {
    let bad = |reason| ConnectError::BadAnswer { step, reason };
    let mut reply: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| bad("it is no JSON object"))?;
    if reply.get("success") == Some(&Value::Bool(false)) {
        return Err(ConnectError::Refused { step, status: 200, message: message(body) });
    }
    // Without the wrapper the answer is the data.
    let data = reply.remove("data").filter(|data| !data.is_null()).unwrap_or(Value::Object(reply));
    serde_json::from_value(data).map_err(|_| bad("a field that is needed is missing"))
}

/// What is not wrapped.
pub(super) fn plain<T: DeserializeOwned>(step: &'static str, body: &[u8]) -> Result<T, ConnectError> {
    let bad = |_| ConnectError::BadAnswer { step, reason: "a field that is needed is missing" };
    serde_json::from_slice(body).map_err(bad)
}

/// What a server says of an error, if that is a short text of plain letters. Bodies are not published: both forms have been seen.
pub(crate) fn message(body: &[u8]) -> Option<String> {
    let reply: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let text = ["error", "message", "error_description"].iter().find_map(|key| reply.get(*key)?.as_str())?;
    let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (is_plain && !text.is_empty() && text.len() <= MAX_MESSAGE).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_with_and_without_its_wrapper() {
        for body in [r#"{"success":true,"data":{"a":1}}"#, r#"{"data":{"a":1}}"#, r#"{"a":1}"#] {
            let data: Value = wrapped("asking", body.as_bytes()).expect("data");
            assert_eq!(data["a"], 1, "{body}");
        }
        let refused = wrapped::<Value>("asking", br#"{"success":false,"error":"no such task","data":null}"#);
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "asking: the server answered with status 200 (no such task)"
        );
        let bad = wrapped::<Value>("asking", b"<html>").expect_err("no JSON");
        assert_eq!(
            bad.to_string(),
            "asking: the answer is not what the documentation says: it is no JSON object"
        );
    }

    #[test]
    fn only_short_plain_texts_are_passed_on() {
        assert_eq!(message(br#"{"message":"Forbidden"}"#).as_deref(), Some("Forbidden"));
        assert_eq!(message(br#"{"error":{"code":1}}"#), None);
        assert_eq!(message(br#"{"error":"\u001b[31m"}"#), None);
        assert_eq!(message(format!(r#"{{"error":"{}"}}"#, "x".repeat(201)).as_bytes()), None);
        assert_eq!(message(b"<html>"), None);
    }
}
