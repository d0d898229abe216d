use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::{HttpError, Retry};

/// The first wait is at most so long, each next one twice that.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Attempts to connect as long as nothing has answered in this run. A moment's trouble passes in that time; a name that is
/// misspelt, or a port on which nobody listens, stays what it is.
const FIRST_ATTEMPTS: u32 = 3;

/// Why an attempt failed, and whether another one may help.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: HttpError,
    pub(super) again: Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// Not before the server's `Retry-After`, if it sent one.
    After(Option<Duration>),
    /// A few times, whatever else is allowed: nothing was asked yet.
    Shortly,
}

impl Fault {
    pub(super) fn passing(error: HttpError) -> Self {
        Self { error, again: Again::After(None) }
    }

    /// The same before anything has answered.
    pub(super) fn at_first(self) -> Self {
        match (&self.error, self.again) {
            (HttpError::NoConnection { .. }, Again::After(_)) => Self { again: Again::Shortly, ..self },
            _ => self,
        }
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        Self { error, again: Again::Never }
    }
}

/// Counts attempts and time since the last byte that was new.
#[derive(Debug)]
pub(super) struct Patience {
    retry: Retry,
    /// Attempts that may reach the server.
    max_attempts: u32,
    attempts: u32,
    since: Option<Instant>,
}

impl Patience {
    pub(super) fn new(retry: Retry) -> Self {
        Self { retry, max_attempts: retry.max_attempts, attempts: 0, since: None }
    }

    /// A question that is to reach the server once at most.
    pub(super) fn once(self) -> Self {
        Self { max_attempts: 1, ..self }
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// A new byte came.
    pub(super) fn progress(&mut self) {
        self.attempts = 0;
        self.since = None;
    }

    /// Attempts since the last new byte that failed.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Waits until it is time for the next attempt.
    ///
    /// # Errors
    /// When there is to be none.
    pub(super) async fn pause(&mut self, fault: Fault) -> Result<(), HttpError> {
        let wait = self.wait(fault, Instant::now())?;
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn wait(&mut self, fault: Fault, now: Instant) -> Result<Duration, HttpError> {
        let first = fault.again == Again::Shortly;
        let (asked, max_attempts) = match fault.again {
            Again::Never => return Err(fault.error),
            Again::After(asked) => (asked, self.max_attempts),
            Again::Shortly => (None, self.retry.max_attempts.min(FIRST_ATTEMPTS)),
        };
        self.attempts += 1;
        if self.attempts >= max_attempts {
            return Err(self.given_up(fault.error, first));
        }
        let since = *self.since.get_or_insert(now);
        let left = self.retry.max_elapsed.saturating_sub(now.saturating_duration_since(since));
        let wait = asked.unwrap_or_default().max(jittered(self.longest_wait()));
        if wait <= left {
            return Ok(wait);
        }
        match (fault.error, asked) {
            (HttpError::Refused { url, status }, Some(asked)) if asked > left => {
                Err(HttpError::TryLater { url, status, wait: asked })
            }
            (error, _) => Err(self.given_up(error, first)),
        }
    }

    fn longest_wait(&self) -> Duration {
        let doublings = (self.attempts - 1).min(16);
        self.retry.max_wait.min(FIRST_WAIT * (1 << doublings))
    }

    fn given_up(&self, error: HttpError, first: bool) -> HttpError {
        let attempts = self.attempts;
        match error {
            HttpError::NoConnection { url, source } if first => {
                HttpError::Unreachable { url, attempts, source }
            }
            error if attempts == 1 => error,
            error => HttpError::GaveUp { attempts, source: Box::new(error) },
        }
    }
}

/// Full jitter: anything up to `longest`, so that many clients that broke together do not come back together.
fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}

/// Whether the same question may get a better answer later.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// How long the server wants to be left alone: seconds or a date (RFC 9110, section 10.2.3). A date counts from the
/// server's own, so that it does not matter what our clock says.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    Some(until.duration_since(date.unwrap_or_else(SystemTime::now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const RETRY: Retry = Retry {
        max_attempts: 4,
        max_elapsed: Duration::from_secs(100),
        max_wait: Duration::from_secs(1),
        idle: Duration::from_secs(1),
        connect: Duration::from_secs(1),
    };

    fn busy(asked: Option<u64>) -> Fault {
        let error = HttpError::Refused { url: "u".to_owned(), status: 503 };
        Fault { error, again: Again::After(asked.map(Duration::from_secs)) }
    }

    #[test]
    fn attempts_without_a_new_byte_are_bounded() {
        let mut patience = Patience::new(RETRY);
        let now = Instant::now();
        for _ in 0..3 {
            assert!(patience.wait(busy(None), now).expect("again") <= RETRY.max_wait);
        }
        let end = patience.wait(busy(None), now).expect_err("the fourth");
        assert!(matches!(end, HttpError::GaveUp { attempts: 4, .. }), "{end:?}");
        patience.progress();
        patience.wait(busy(None), now).expect("again after a byte");
    }

    #[test]
    fn waits_grow_up_to_their_bound() {
        let mut patience =
            Patience::new(Retry { max_attempts: 99, max_wait: Duration::from_secs(3), ..RETRY });
        let mut longest = Vec::new();
        for _ in 0..40 {
            patience.wait(busy(None), Instant::now()).expect("again");
            longest.push(patience.longest_wait().as_millis());
        }
        assert_eq!(longest[..4], [500, 1000, 2000, 3000]);
        assert_eq!(longest[39], 3000);
    }

    #[test]
    fn the_server_may_ask_for_a_longer_wait_but_not_beyond_all_patience() {
        let mut patience = Patience::new(RETRY);
        let now = Instant::now();
        assert_eq!(patience.wait(busy(Some(40)), now).expect("again"), Duration::from_secs(40));
        let later = now + Duration::from_secs(70);
        let end = patience.wait(busy(Some(40)), later).expect_err("too long");
        assert!(
            matches!(end, HttpError::TryLater { status: 503, wait, .. } if wait.as_secs() == 40),
            "{end:?}"
        );
    }

    #[test]
    fn the_time_without_a_new_byte_is_bounded() {
        let mut patience = Patience::new(RETRY);
        patience.begin();
        let end = patience.wait(busy(None), Instant::now() + Duration::from_secs(101)).expect_err("too long");
        assert!(matches!(end, HttpError::Refused { .. }), "{end:?}");
    }

    fn no_connection() -> Fault {
        let source = std::sync::Arc::new(std::io::ErrorKind::ConnectionRefused.into());
        Fault::passing(HttpError::NoConnection { url: "u".to_owned(), source })
    }

    #[test]
    fn what_never_answered_is_asked_a_few_times() {
        let many = Retry { max_attempts: 99, ..RETRY };
        let now = Instant::now();
        for retry in [many, RETRY, Retry { max_attempts: 2, ..RETRY }] {
            let attempts = retry.max_attempts.min(3);
            for mut patience in [Patience::new(retry), Patience::new(retry).once()] {
                for _ in 1..attempts {
                    let wait = patience.wait(no_connection().at_first(), now).expect("again");
                    assert!(wait <= Duration::from_secs(1));
                }
                let end = patience.wait(no_connection().at_first(), now).expect_err("never answered");
                let HttpError::Unreachable { attempts: told, .. } = end else { panic!("{end:?}") };
                assert_eq!(told, attempts);
            }
        }
        let mut patience = Patience::new(many);
        for _ in 0..50 {
            patience.wait(no_connection(), now).expect("one that had answered is waited for");
        }
        assert!(matches!(busy(None).at_first().again, Again::After(None)), "it has answered");
    }

    #[test]
    fn a_lasting_fault_is_given_back_as_it_is() {
        let fault = Fault::from(HttpError::Refused { url: "u".to_owned(), status: 403 });
        let end = Patience::new(RETRY).wait(fault, Instant::now()).expect_err("never");
        assert!(matches!(end, HttpError::Refused { status: 403, .. }), "{end:?}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
        let of = |pairs: &[(reqwest::header::HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            retry_after(&pairs.collect())
        };
        assert_eq!(of(&[(RETRY_AFTER, "120")]), Some(Duration::from_secs(120)));
        let date = (DATE, "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(
            of(&[(RETRY_AFTER, "Wed, 21 Oct 2015 07:28:30 GMT"), date]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(of(&[(RETRY_AFTER, "Wed, 21 Oct 2015 07:28:00 GMT")]), Some(Duration::ZERO));
        for nonsense in ["", "-1", "soon", "1.5"] {
            assert_eq!(of(&[(RETRY_AFTER, nonsense)]), None, "{nonsense}");
        }
    }
}
