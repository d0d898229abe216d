//! The API, described (OpenAPI 3.1).

use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{Site, api, live};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "fhirline serve",
        description = "What the service behind Fasten Connect's webhooks has done, and does. Bodies of events, links and keys are in no answer."
    ),
    paths(api::summary, api::exports, api::export, api::retry, api::events, live::live),
    modifiers(&Token)
)]
struct Description;

/// Needed where `page.token_env` or `page.token_file` is set.
struct Token;

impl Modify for Token {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        description.components.get_or_insert_default().add_security_scheme("token", scheme);
        let none: [&str; 0] = [];
        description.security =
            Some(vec![SecurityRequirement::default(), SecurityRequirement::new("token", none)]);
    }
}

pub(super) fn router() -> Router<Site> {
    Router::new().route("/openapi.json", get(|| async { Json(Description::openapi()) }))
}
