//! The REST API. Errors have the one body that was seen in public, with the usual statuses: none are published.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::world::{Task, dashed};
use super::{Misbehaviour, Shared, webhooks};

type World = State<Arc<Shared>>;

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/bridge/fhir/ehi-export", post(request_export))
        .route("/v1/bridge/fhir/ehi-export/{task}", get(export_state))
        .route("/v1/bridge/fhir/ehi-export/{task}/download/{file}", get(download))
        .route("/v1/bridge/org_connection/{connection}", get(connection))
        .route("/v1/bridge/org", get(organization))
        .route("/v1/bridge/catalog", get(catalog))
        .route("/v1/bridge/catalog/search", post(search))
        .route("/v1/bridge/catalog/export", get(export_catalog))
        .layer(from_fn_with_state(Arc::clone(shared), slow_down))
        .with_state(Arc::clone(shared))
}

/// Answers every other request with 429 if it is to misbehave so.
async fn slow_down(State(shared): World, request: Request, next: Next) -> Response {
    let turn = {
        let mut world = shared.world();
        world.requests += 1;
        world.requests
    };
    if shared.options.misbehaves(Misbehaviour::TooManyRequests) && turn % 2 == 1 {
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response();
    }
    next.run(request).await
}

/// The public id of a request with keys that are accepted.
pub(super) fn client_of(shared: &Shared, headers: &HeaderMap) -> Option<String> {
    let basic = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (public_id, private_key) = text.split_once(':')?;
    let is_known = match &shared.options.keys {
        Some(keys) => (public_id, private_key) == (keys.public_id(), keys.private_key().expose_secret()),
        None => !public_id.is_empty() && !private_key.is_empty(),
    };
    is_known.then(|| public_id.to_owned())
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn data(data: &Value) -> Response {
    json_answer(StatusCode::OK, &json!({ "success": true, "data": data }))
}

fn refused(status: StatusCode, error: &str) -> Response {
    json_answer(status, &json!({ "success": false, "error": error, "data": null }))
}

fn forbidden() -> Response {
    json_answer(StatusCode::FORBIDDEN, &json!({ "message": "Forbidden" }))
}

fn task_data(task: &Task, shared: &Shared) -> Value {
    json!({ "task_id": task.id, "status": task.state(shared.clock.now()) })
}

async fn request_export(State(shared): World, headers: HeaderMap, body: Bytes) -> Response {
    if client_of(&shared, &headers).is_none() {
        return forbidden();
    }
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(connection) = wanted["org_connection_id"].as_str() else {
        return refused(StatusCode::BAD_REQUEST, "org_connection_id is required");
    };
    if !shared.options.connections.iter().any(|known| known == connection) {
        return refused(StatusCode::NOT_FOUND, "unknown org_connection_id");
    }
    let (task, is_new) = shared.world().request(connection, shared.clock.now(), shared.options.export_takes);
    if is_new {
        webhooks::announce(&shared, &task);
    }
    data(&task_data(&task, &shared))
}

async fn export_state(State(shared): World, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if client_of(&shared, &headers).is_none() {
        return forbidden();
    }
    match shared.world().task(&id) {
        Some(task) => data(&task_data(task, &shared)),
        None => refused(StatusCode::NOT_FOUND, "unknown task"),
    }
}

/// The first hop: the address of the file, on another server.
async fn download(
    State(shared): World,
    headers: HeaderMap,
    Path((id, file)): Path<(String, String)>,
) -> Response {
    if client_of(&shared, &headers).is_none() {
        return forbidden();
    }
    let now = shared.clock.now();
    let mut world = shared.world();
    let known = world.task(&id.replace('-', "")).filter(|task| task.file_id == file && task.has_file(now));
    if known.is_none() {
        return refused(StatusCode::NOT_FOUND, "the export does not exist any more");
    }
    let location = format!("http://{}/ehi-export/{file}?X-Amz-Signature={}", shared.files, world.sign(now));
    (StatusCode::FOUND, [(LOCATION, location)]).into_response()
}

async fn connection(State(shared): World, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let Some(client) = client_of(&shared, &headers) else { return forbidden() };
    if !shared.options.connections.contains(&id) {
        return refused(StatusCode::NOT_FOUND, "unknown connection");
    }
    let mode = if client.starts_with("public_live_") { "live" } else { "test" };
    data(&json!({
        "org_connection_id": id, "org_id": dashed(&"1".repeat(32)), "platform_type": "epic", "api_mode": mode,
        "status": "authorized", "scope": "patient/*.read", "catalog_brand_id": BRAND, "catalog_portal_id": PORTAL,
    }))
}

const BRAND: &str = "b0000000-0000-4000-8000-000000000001";
const PORTAL: &str = "b0000000-0000-4000-8000-000000000002";

fn brand() -> Value {
    json!({ "id": BRAND, "name": "FooClinic", "aliases": ["Foo"], "portal_ids": [PORTAL], "brand_website": "https://foo.example" })
}

async fn organization(Query(query): Query<Value>) -> Response {
    if query["public_id"].as_str().is_none() {
        return refused(StatusCode::BAD_REQUEST, "public_id is required");
    }
    data(&json!({ "id": dashed(&"1".repeat(32)), "name": "A simulated company", "status": "active" }))
}

#[derive(Deserialize)]
struct Wanted {
    brand_id: Option<String>,
    portal_id: Option<String>,
}

async fn catalog(Query(wanted): Query<Wanted>) -> Response {
    if wanted.brand_id.as_deref() == Some(BRAND) {
        return data(&brand());
    }
    if wanted.portal_id.as_deref() == Some(PORTAL) {
        return data(&json!({ "id": PORTAL, "name": "FooClinic portal", "endpoint_ids": [] }));
    }
    refused(StatusCode::NOT_FOUND, "not in the catalog")
}

async fn search(body: Bytes) -> Response {
    let wanted: Value = serde_json::from_slice(&body).unwrap_or_default();
    let query = wanted["query"].as_str().unwrap_or_default().to_lowercase();
    let is_first_page = wanted["searchAfter"].is_null();
    let is_found = !query.is_empty() && "fooclinic".contains(&query);
    let hit = json!({ "_id": BRAND, "_score": 1.5, "sort": [1.5, BRAND], "_source": brand() });
    let hits = if is_found && is_first_page { vec![hit] } else { Vec::new() };
    data(&json!({ "hits": { "total": { "value": u8::from(is_found), "relation": "eq" }, "hits": hits } }))
}

/// Not wrapped, as it is documented.
async fn export_catalog(State(shared): World, headers: HeaderMap) -> Response {
    if client_of(&shared, &headers).is_none() {
        return forbidden();
    }
    let now = shared.clock.now();
    let signature = shared.world().sign(now);
    let url = |name: &str| format!("http://{}/catalog/{name}?X-Amz-Signature={signature}", shared.files);
    let names = ["brands.json", "portals.json", "endpoints.json"];
    let links: serde_json::Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), url(name).into())).collect();
    json_answer(StatusCode::OK, &Value::Object(links))
}

/// What a file of the catalog holds.
pub(super) fn catalog_file(name: &str) -> Option<Body> {
    match name {
        "brands.json" => Some(Body::from(json!([brand()]).to_string())),
        "portals.json" | "endpoints.json" => Some(Body::from("[]")),
        _ => None,
    }
}
