//! The files that pages load. They are a part of the program, and tell nothing of what it does.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::Site;

pub(super) fn router() -> Router<Site> {
    let asset = |kind: &'static str, text: &'static str| {
        get(move || async move {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
        })
    };
    Router::new()
        .route("/assets/page.css", asset("text/css", include_str!("../../templates/assets/page.css")))
        .route("/assets/live.js", asset("text/javascript", include_str!("../../templates/assets/live.js")))
        .route("/assets/icon.svg", asset("image/svg+xml", include_str!("../../templates/assets/icon.svg")))
}
