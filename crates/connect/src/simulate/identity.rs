//! The identity server, in both of the published forms: `/oauth2/par` with its errors, and an authorization endpoint that uses
//! a `request_uri` up. Statuses are those of RFC 6749; none are published. Of the second form the token exchange, by which Fasten asks the organization
//! for the ID token, is left out; and any URI that could be registered counts as registered.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::Shared;
use super::api::client_of;

const PROVIDERS: [&str; 3] = ["clear_csp", "idme_csp", "persona_csp"];

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/oauth2/par", post(push))
        .route("/oauth2/authorize", get(authorize))
        .with_state(Arc::clone(shared))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn error(status: StatusCode, code: &str) -> Response {
    answer(status, &json!({ "error": code }))
}

async fn push(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(client) = client_of(&shared, &headers) else {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    if let Some(code) = fault(&form) {
        return error(StatusCode::BAD_REQUEST, code);
    }
    let uri = shared.world().push(&client, shared.clock.now());
    answer(StatusCode::CREATED, &json!({ "request_uri": uri, "expires_in": 90 }))
}

/// What is wrong with a form. An ID token, or a patient, that is one of the errors' names asks for that error.
fn fault(form: &HashMap<String, String>) -> Option<&'static str> {
    const ON_REQUEST: [&str; 3] = ["unauthorized_client", "invalid_target", "invalid_grant"];
    let value = |name: &str| form.get(name).map(String::as_str);
    let about = value("idp_id_token").or(value("patient_id")).unwrap_or_default();
    if let Some(code) = ON_REQUEST.into_iter().find(|code| *code == about) {
        return Some(code);
    }
    let is_sound = value("scope") == Some("openid profile email")
        && value("response_type") == Some("code")
        && (has_id_token(form) || names_patient(form));
    (!is_sound).then_some("invalid_request")
}

/// The form with the provider's ID token.
fn has_id_token(form: &HashMap<String, String>) -> bool {
    let token = form.get("idp_id_token").is_some_and(|token| token.split('.').count() == 3);
    token && form.get("idp").is_some_and(|idp| PROVIDERS.contains(&idp.as_str()))
}

/// The later form, with a patient instead.
fn names_patient(form: &HashMap<String, String>) -> bool {
    let is_back = |uri: &String| Url::parse(uri).is_ok_and(|uri| uri.has_host() && uri.fragment().is_none());
    ["idp", "idp_id_token"].iter().all(|name| !form.contains_key(*name))
        && form.get("prompt").is_some_and(|prompt| prompt == "consent")
        && form.get("redirect_uri").is_some_and(is_back)
        && form.get("patient_id").is_some_and(|patient| !patient.is_empty())
}

#[derive(Deserialize)]
struct Authorize {
    request_uri: Option<String>,
    client_id: Option<String>,
}

async fn authorize(State(shared): State<Arc<Shared>>, Query(query): Query<Authorize>) -> Response {
    let (uri, client) = (query.request_uri.unwrap_or_default(), query.client_id.unwrap_or_default());
    let now = shared.clock.now();
    match shared.world().redeem(&uri, &client, now) {
        true => answer(StatusCode::OK, &json!({ "success": true })),
        false => error(StatusCode::BAD_REQUEST, "invalid_request_uri"),
    }
}
