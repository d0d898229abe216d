//! Pages for people. They work without JavaScript, and move with it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State as From};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::api::{self, Refusal};
use super::{Shown, Site};
use crate::store::StoreError;

mod events;
mod export;
mod overview;

pub(super) fn router() -> Router<Site> {
    Router::new()
        .route("/", get(overview::overview))
        .route("/events", get(events::events))
        .route("/exports/{id}", get(export::export))
        .route("/exports/{id}/retry", post(retry))
}

/// What is around every page.
struct Frame {
    title: String,
    /// The modes that are configured.
    modes: String,
    has_token: bool,
}

impl Frame {
    fn new(site: &Site, title: impl Into<String>) -> Self {
        let modes: Vec<_> = site.shown.config.modes().map(|mode| mode.to_string()).collect();
        Self { title: title.into(), modes: modes.join(" and "), has_token: site.access.has_token() }
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'p> {
    frame: Frame,
    to: &'p str,
    wrong: Option<&'p str>,
}

/// The form that asks for the token, and leads to that path.
pub(super) fn login(status: StatusCode, to: &str, wrong: Option<&str>) -> Response {
    let frame = Frame { title: "Log in".to_owned(), modes: String::new(), has_token: false };
    (status, html(&Login { frame, to, wrong })).into_response()
}

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused {
    frame: Frame,
    why: String,
}

/// A page that says why there is no other.
struct Sorry(Refusal);

impl std::convert::From<StoreError> for Sorry {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl std::convert::From<Refusal> for Sorry {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        let (status, why) = self.0.told();
        let frame = Frame { title: "Sorry".to_owned(), modes: String::new(), has_token: false };
        (status, html(&Refused { frame, why })).into_response()
    }
}

fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written\n").into_response()
        }
    }
}

async fn retry(From(shown): From<Shown>, Path(id): Path<String>) -> Result<Redirect, Sorry> {
    api::queue_again(&shown, &id).await?;
    Ok(Redirect::to(&format!("/exports/{id}")))
}
