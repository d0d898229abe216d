use super::*;

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    all.iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value")))
        .collect()
}

fn with_token() -> Access {
    Access::new(Some(&"a long token".into()))
}

#[test]
fn only_the_names_of_this_machine_are_answered_without_a_token() {
    let open = Access::new(None);
    for host in ["localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:8080", "LOCALHOST"] {
        assert_eq!(open.comes_from_here(false, &headers(&[("host", host)])), Ok(()), "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "10.0.0.1", "", "::1"]
    {
        let refusal = open.comes_from_here(false, &headers(&[("host", host)]));
        assert_eq!(refusal, Err(Refusal::OtherName), "{host}");
    }
    assert_eq!(open.comes_from_here(false, &headers(&[])), Err(Refusal::OtherName));
    assert_eq!(with_token().comes_from_here(false, &headers(&[("host", "evil.example")])), Ok(()));
}

#[test]
fn pages_of_others_change_nothing() {
    let open = Access::new(None);
    let sent = |more: &[(&'static str, &str)]| {
        open.comes_from_here(true, &headers(&[&[("host", "localhost:8080")], more].concat()))
    };
    assert_eq!(sent(&[]), Ok(()), "a program");
    assert_eq!(sent(&[("origin", "http://localhost:8080")]), Ok(()));
    assert_eq!(sent(&[("sec-fetch-site", "same-origin"), ("origin", "https://proxy.example")]), Ok(()));
    for others in [
        [("origin", "http://evil.example")],
        [("origin", "null")],
        [("origin", "http://localhost:8081")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(sent(&others), Err(Refusal::OtherSite), "{others:?}");
        let seen =
            open.comes_from_here(false, &headers(&[&[("host", "localhost:8080")], &others[..]].concat()));
        assert_eq!(seen, Ok(()), "{others:?}: it may look");
    }
}

#[test]
fn the_token_and_what_it_has_signed_are_known() {
    let access = with_token();
    let knows = |name, value: &str, now| access.knows(&headers(&[(name, value)]), now).is_ok();
    assert!(knows("authorization", "Bearer a long token", 0));
    assert!(knows("authorization", "bearer a long token", 0));
    for wrong in
        ["Bearer a long toke", "Bearer a long token2", "Bearer ", "Basic a long token", "a long token"]
    {
        assert!(!knows("authorization", wrong, 0), "{wrong}");
    }
    let session = access.0.as_ref().expect("a token").session(1000);
    assert!(!session.contains("token"));
    assert!(knows("cookie", &format!("other=1; {COOKIE}={session}"), 999));
    assert!(!knows("cookie", &format!("{COOKIE}={session}"), 1000), "it is over");
    let later = session.replacen("1000.", "9000.", 1);
    assert!(!knows("cookie", &format!("{COOKIE}={later}"), 999), "made longer");
    assert!(!knows("cookie", &format!("{COOKIE}=a long token"), 0), "the token is no cookie");
    let other = Access::new(Some(&"another token".into()));
    assert!(other.knows(&headers(&[("cookie", &format!("{COOKIE}={session}"))]), 999).is_err());
    assert!(access.knows(&headers(&[]), 0).is_err());
}

#[test]
fn after_the_form_comes_a_page_of_ours() {
    for own in ["/", "/events", "/exports/a?b=c"] {
        assert_eq!(own_path(own), own);
    }
    for other in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nset-cookie: b"] {
        assert_eq!(own_path(other), "/", "{other}");
    }
}

#[test]
fn guessing_is_stopped_and_who_is_known_goes_on() {
    let access = with_token();
    let given = |text: &str| access.knows(&headers(&[("authorization", text)]), 0);
    for _ in 0..10 {
        assert_eq!(given("Bearer guess"), Err(Refusal::Unknown));
    }
    let Err(Refusal::TooMany(wait)) = given("Bearer a long token") else { panic!("it was looked at") };
    let answer = refused(Refusal::TooMany(wait), "/metrics");
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "7", "the next one is free after 6 s");
    let session = access.0.as_ref().expect("a token").session(1000);
    assert_eq!(access.knows(&headers(&[("cookie", &format!("{COOKIE}={session}"))]), 0), Ok(()));
    assert_eq!(access.knows(&headers(&[]), 0), Err(Refusal::Unknown), "nothing was given");
}

#[test]
fn the_form_stops_guessing_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let access = Arc::new(with_token());
    let given = |form: &'static str| {
        let form = Bytes::from_static(form.as_bytes());
        runtime.block_on(log_in(From(Arc::clone(&access)), HeaderMap::new(), form))
    };
    assert_eq!(given("token=a+long+token").status(), StatusCode::SEE_OTHER);
    // However long each of them takes here.
    let mut guesses = (0..1000).map(|_| given("token=guess"));
    let last = guesses.find(|answer| answer.status() != StatusCode::UNAUTHORIZED).expect("an end");
    assert_eq!(last.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(last.headers().contains_key(header::RETRY_AFTER));
    let bearer = [("authorization", "Bearer a long token")];
    assert_eq!(access.knows(&headers(&bearer), now_ms()), Ok(()), "programs are counted apart");
}
