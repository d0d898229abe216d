use std::fmt;

#[cfg(feature = "http")]
use fhirline_fetch::Credentials;
use secrecy::{ExposeSecret, SecretString};

use crate::Mode;

/// The pair of keys with which the API knows a company, and decides the mode.
///
/// The keys of one mode are never taken for those of the other: their prefixes are `public_test_` and `private_test_`, `public_live_` and
/// `private_live_` (<https://docs.connect.fastenhealth.com>).
///
/// ```
/// use fhirline_connect::{ApiKeys, KeyError, Mode};
///
/// let keys = ApiKeys::new(Mode::Test, "public_test_1", "private_test_2".into())?;
/// assert_eq!(keys.mode(), Mode::Test);
/// assert!(ApiKeys::new(Mode::Live, "public_test_1", "private_test_2".into()).is_err());
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Clone)]
pub struct ApiKeys {
    mode: Mode,
    public_id: String,
    private_key: SecretString,
}

/// Why keys are none of a mode. The private key is not shown, nor is anything of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It does not begin as the keys of that mode do.
    #[error("the {which} of {mode} mode does not begin with {prefix}")]
    Prefix {
        /// `public id` or `private key`.
        which: &'static str,
        /// The mode.
        mode: Mode,
        /// What it should begin with.
        prefix: String,
    },
    /// It holds white space, control characters or others that no key has.
    #[error("the {which} of {mode} mode holds characters that no key has")]
    Characters {
        /// `public id` or `private key`.
        which: &'static str,
        /// The mode.
        mode: Mode,
    },
}

impl ApiKeys {
    /// The keys of one mode.
    ///
    /// # Errors
    /// [`KeyError`], when one of them is of the other mode, or is no key.
    pub fn new(
        mode: Mode,
        public_id: impl Into<String>,
        private_key: SecretString,
    ) -> Result<Self, KeyError> {
        let public_id = public_id.into();
        check(mode, "public id", "public", &public_id)?;
        check(mode, "private key", "private", private_key.expose_secret())?;
        Ok(Self { mode, public_id, private_key })
    }

    /// The mode of both.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The public one.
    #[must_use]
    pub fn public_id(&self) -> &str {
        &self.public_id
    }

    /// The private one, for whoever asks the API with a client of their own: HTTP Basic, to the API's host only.
    #[must_use]
    pub fn private_key(&self) -> &SecretString {
        &self.private_key
    }

    /// HTTP Basic, as the documentation has it. (Fasten's quickstart sends the private key as a bearer token; the reference wins.)
    #[cfg(feature = "http")]
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::Basic { user: self.public_id.clone(), password: self.private_key.clone() }
    }
}

fn check(mode: Mode, which: &'static str, kind: &str, key: &str) -> Result<(), KeyError> {
    let prefix = format!("{kind}_{mode}_");
    if key.strip_prefix(&prefix).is_none_or(str::is_empty) {
        return Err(KeyError::Prefix { which, mode, prefix });
    }
    // A colon would end the user of HTTP Basic.
    let is_legal = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if key.bytes().all(is_legal) { Ok(()) } else { Err(KeyError::Characters { which, mode }) }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").field("mode", &self.mode).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_another_mode_or_swapped_ones_are_refused_without_being_shown() {
        for (mode, public_id, private_key) in [
            (Mode::Test, "public_live_CANARY", "private_test_CANARY"),
            (Mode::Test, "public_test_CANARY", "private_live_CANARY"),
            (Mode::Live, "private_live_CANARY", "public_live_CANARY"),
            (Mode::Live, "pub_live_CANARY", "private_live_CANARY"),
            (Mode::Live, "public_live_", "private_live_CANARY"),
            (Mode::Live, "public_live_CAN:ARY", "private_live_CANARY"),
            (Mode::Live, "public_live_CANARY", "private_live_CANARY\n"),
        ] {
            let refused = ApiKeys::new(mode, public_id, private_key.into()).expect_err("refused");
            assert!(!format!("{refused} {refused:?}").contains("CANARY"), "{refused}");
        }
        let keys = ApiKeys::new(Mode::Live, "public_live_x", "private_live_CANARY".into()).expect("keys");
        assert_eq!((keys.mode(), keys.public_id()), (Mode::Live, "public_live_x"));
        assert!(!format!("{keys:?}").contains("CANARY"));
    }
}
