//! Who may see what is shown, and who may ask for something.
//!
//! With a token, programs send it as `Authorization: Bearer`, and people once by a form, for a cookie that follows from it and ends.
//! Without one the service listens to this machine alone, and answers only who calls it by this machine's name: a page of somebody else
//! whose name leads here (DNS rebinding) would call it by its own. What changes something is taken from our own pages, or from no page.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State as From};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Site, pages};
use crate::clock::{after, now_ms};
use failures::Failures;

mod failures;

const COOKIE: &str = "fhirline_session";
/// Whoever has given the token is known for so long.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// What is asked of whoever asks.
#[derive(Debug)]
pub(super) struct Access(Option<Token>);

/// The token, as a key: sessions signed with it hold in every process that has the same one, and end when it is replaced.
#[derive(Debug)]
struct Token {
    key: hmac::Key,
    own: hmac::Tag,
    /// Wrong ones of people and of programs, apart: who guesses at the form keeps no program out.
    by_form: Failures,
    by_header: Failures,
}

/// Why an answer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Called by a name that is not this machine's.
    OtherName,
    /// Sent by a page of somebody else.
    OtherSite,
    /// Neither token nor session.
    Unknown,
    /// So many were wrong that none is looked at for so long.
    TooMany(Duration),
}

impl Access {
    pub(super) fn new(token: Option<&SecretString>) -> Self {
        Self(token.map(|token| {
            let token = token.expose_secret().as_bytes();
            let key = hmac::Key::new(hmac::HMAC_SHA256, token);
            let own = hmac::sign(&key, &token_text(token));
            Token { key, own, by_form: Failures::default(), by_header: Failures::default() }
        }))
    }

    /// Whether there is somebody to be known.
    pub(super) fn has_token(&self) -> bool {
        self.0.is_some()
    }

    /// Whether that comes from where it may come from.
    fn comes_from_here(&self, changes: bool, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text_of(headers, &header::HOST);
        if self.0.is_none() && !host.is_some_and(is_this_machine) {
            return Err(Refusal::OtherName);
        }
        if changes && !is_own_site(headers, host) {
            return Err(Refusal::OtherSite);
        }
        Ok(())
    }

    /// Whether whoever asks has the token, or had it not long ago.
    fn knows(&self, headers: &HeaderMap, now: i64) -> Result<(), Refusal> {
        let Some(token) = &self.0 else { return Ok(()) };
        if sessions(headers).any(|text| token.has_signed(text, now)) {
            return Ok(());
        }
        let bearer = text_of(headers, &header::AUTHORIZATION).and_then(bearer).ok_or(Refusal::Unknown)?;
        match token.by_header.unless_too_many(now, || token.is(bearer)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Unknown),
            Err(wait) => Err(Refusal::TooMany(wait)),
        }
    }
}

impl Token {
    /// Takes as long for whatever it is compared with: what is compared is made with the key.
    fn is(&self, text: &str) -> bool {
        hmac::verify(&self.key, &token_text(text.as_bytes()), self.own.as_ref()).is_ok()
    }

    fn session(&self, until: i64) -> String {
        let signed = hmac::sign(&self.key, session_text(until).as_bytes());
        format!("{until}.{}", URL_SAFE_NO_PAD.encode(signed))
    }

    fn has_signed(&self, session: &str, now: i64) -> bool {
        let Some((until, signed)) = session.split_once('.') else { return false };
        let (Ok(until), Ok(signed)) = (until.parse::<i64>(), URL_SAFE_NO_PAD.decode(signed)) else {
            return false;
        };
        until > now && hmac::verify(&self.key, session_text(until).as_bytes(), &signed).is_ok()
    }
}

fn token_text(token: &[u8]) -> Vec<u8> {
    [b"fhirline token ", token].concat()
}

fn session_text(until: i64) -> String {
    format!("fhirline session until {until}")
}

fn text_of<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn sessions(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}

fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What browsers say of where a request comes from. Programs say nothing, and have no cookies that somebody else could use.
fn is_own_site(headers: &HeaderMap, host: Option<&str>) -> bool {
    if let Some(site) = text_of(headers, &HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, from)| Some(from) == host)
        }
    }
}

/// Lets those through who may see all of it.
pub(super) async fn with_token(From(access): From<Arc<Access>>, request: Request, next: Next) -> Response {
    let (changes, headers) = (!request.method().is_safe(), request.headers());
    match access.comes_from_here(changes, headers).and_then(|()| access.knows(headers, now_ms())) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refused(refusal, request.uri().path()),
    }
}

/// Lets those through who come by the right name, and from our own pages.
pub(super) async fn from_here(From(access): From<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.comes_from_here(!request.method().is_safe(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refused(refusal, request.uri().path()),
    }
}

fn refused(refusal: Refusal, path: &str) -> Response {
    let is_for_programs = path.starts_with("/api/") || matches!(path, "/metrics" | "/openapi.json");
    match refusal {
        Refusal::Unknown if is_for_programs => {
            let ask = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, ask, Json(told("the token is missing or wrong"))).into_response()
        }
        Refusal::Unknown => pages::login(StatusCode::UNAUTHORIZED, path, None),
        Refusal::TooMany(wait) => {
            (StatusCode::TOO_MANY_REQUESTS, retry_after(wait), Json(told("too many tokens were wrong")))
                .into_response()
        }
        Refusal::OtherName => forbidden(
            "the service is not called by the name of this machine: without a token it answers to localhost only",
        ),
        Refusal::OtherSite => forbidden("this was sent by a page of another site"),
    }
}

/// Whole seconds, so that none comes too early.
fn retry_after(wait: Duration) -> [(HeaderName, HeaderValue); 1] {
    [(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1))]
}

fn forbidden(why: &str) -> Response {
    (StatusCode::FORBIDDEN, Json(told(why))).into_response()
}

fn told(why: &str) -> serde_json::Value {
    serde_json::json!({ "error": why })
}

/// Where people come in and go out.
pub(super) fn router() -> Router<Site> {
    Router::new().route("/login", get(ask).post(log_in)).route("/logout", post(log_out))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    to: String,
}

async fn ask(From(access): From<Arc<Access>>, Query(asked): Query<Asked>) -> Response {
    if !access.has_token() {
        return Redirect::to("/").into_response();
    }
    pages::login(StatusCode::OK, own_path(&asked.to), None)
}

async fn log_in(From(access): From<Arc<Access>>, headers: HeaderMap, form: Bytes) -> Response {
    let Some(token) = &access.0 else { return Redirect::to("/").into_response() };
    let field = |wanted: &str| {
        let mut fields = url::form_urlencoded::parse(&form);
        fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (to, now) = (field("to"), now_ms());
    match token.by_form.unless_too_many(now, || token.is(field("token").trim())) {
        Ok(true) => {}
        Ok(false) => {
            return pages::login(StatusCode::UNAUTHORIZED, own_path(&to), Some("That is not the token."));
        }
        Err(wait) => {
            let why = Some("Too many tokens were wrong. Try again in a few seconds.");
            let page = pages::login(StatusCode::TOO_MANY_REQUESTS, own_path(&to), why);
            return (retry_after(wait), page).into_response();
        }
    }
    let cookie = cookie(&token.session(after(now, SESSION)), SESSION.as_secs(), &headers);
    ([(header::SET_COOKIE, cookie)], Redirect::to(own_path(&to))).into_response()
}

async fn log_out(headers: HeaderMap) -> Response {
    ([(header::SET_COOKIE, cookie("", 0, &headers))], Redirect::to("/login")).into_response()
}

/// A proxy that speaks https to the browser says so. Whoever else says so keeps a cookie from himself.
fn cookie(value: &str, seconds: u64, headers: &HeaderMap) -> HeaderValue {
    let is_secure = text_of(headers, &HeaderName::from_static("x-forwarded-proto")) == Some("https");
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// The path, if it is one of this service; else the first page.
fn own_path(path: &str) -> &str {
    let is_own = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { path } else { "/" }
}

#[cfg(test)]
mod tests;
