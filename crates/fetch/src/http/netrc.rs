use std::path::PathBuf;
use std::{env, fmt, fs, io};

use secrecy::SecretString;

/// Users and passwords by host, from a `.netrc` file.
///
/// The format is that of `ftp`(1) and curl: `machine HOST login USER password PASSWORD`, parted by any white space;
/// `default` stands for all other hosts; macros (`macdef`) and lines that begin with `#` are skipped. A value that holds
/// white space stands in double quotes, with `\` before a quote, as in curl.
#[derive(Clone, Default)]
pub struct Netrc {
    entries: Vec<Entry>,
}

#[derive(Clone, Default)]
struct Entry {
    /// `None` for the default entry.
    host: Option<String>,
    user: Option<String>,
    password: Option<SecretString>,
}

impl Netrc {
    /// What a text in this format says. Words that it does not know are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut words = Words { rest: text };
        while let Some(word) = words.next() {
            match (word.as_str(), entries.last_mut()) {
                ("machine", _) => entries.push(Entry { host: words.next(), ..Entry::default() }),
                ("default", _) => entries.push(Entry::default()),
                ("macdef", _) => words.skip_macro(),
                ("login", Some(entry)) => entry.user = words.next(),
                ("password", Some(entry)) => entry.password = words.next().map(SecretString::from),
                _ => {}
            }
        }
        Self { entries }
    }

    /// What the user's file says: that of `$NETRC`, or `~/.netrc`. Empty if there is none.
    ///
    /// # Errors
    /// When the file is there but cannot be read, or `$NETRC` names one that is not there.
    pub fn of_user() -> io::Result<Self> {
        if let Some(path) = env::var_os("NETRC").filter(|path| !path.is_empty()) {
            return Ok(Self::parse(&fs::read_to_string(path)?));
        }
        let Some(home) = env::var_os("HOME") else { return Ok(Self::default()) };
        match fs::read_to_string(PathBuf::from(home).join(".netrc")) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// User and password for a host.
    pub(super) fn user_of(&self, host: &str) -> Option<(&str, &SecretString)> {
        let named =
            |entry: &&Entry| entry.host.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(host));
        let entry = self.entries.iter().find(named);
        let entry = entry.or_else(|| self.entries.iter().find(|entry| entry.host.is_none()))?;
        Some((entry.user.as_deref().unwrap_or_default(), entry.password.as_ref()?))
    }
}

impl fmt::Debug for Netrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netrc").field("entries", &self.entries.len()).finish()
    }
}

struct Words<'t> {
    rest: &'t str,
}

impl Words<'_> {
    fn next(&mut self) -> Option<String> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                break;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
        if let Some(quoted) = self.rest.strip_prefix('"') {
            return Some(self.quoted(quoted.len()));
        }
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then(|| word.to_owned())
    }

    /// The value up to the next quote; `left` bytes are behind the first one.
    fn quoted(&mut self, left: usize) -> String {
        let mut value = String::new();
        let mut characters = self.rest[self.rest.len() - left..].chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => value.extend(characters.next()),
                character => value.push(character),
            }
        }
        self.rest = characters.as_str();
        value
    }

    /// A macro goes up to the next blank line.
    fn skip_macro(&mut self) {
        let mut lines = self.rest.split_inclusive('\n');
        // The line of its name.
        let mut skipped = lines.next().map_or(0, str::len);
        for line in lines {
            skipped += line.len();
            if line.trim().is_empty() {
                break;
            }
        }
        self.rest = &self.rest[skipped..];
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn user_of(text: &str, host: &str) -> Option<(String, String)> {
        let netrc = Netrc::parse(text);
        netrc.user_of(host).map(|(user, password)| (user.to_owned(), password.expose_secret().to_owned()))
    }

    fn some(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn entries_are_found_by_host() {
        let text = "# machine c login no password no\nmachine a login u password p\nmachine b\n\tpassword q\n  login v\n";
        assert_eq!(user_of(text, "a"), some("u", "p"));
        assert_eq!(user_of(text, "B"), some("v", "q"));
        assert_eq!(user_of(text, "c"), None);
    }

    #[test]
    fn the_default_is_for_hosts_that_are_not_named() {
        let text = "default login any password d\nmachine a login u password p";
        assert_eq!(user_of(text, "a"), some("u", "p"));
        assert_eq!(user_of(text, "z"), some("any", "d"));
    }

    #[test]
    fn macros_are_skipped_and_quotes_taken_off() {
        let text = "machine a login u password \"p \\\"q\"\nmacdef init\nmachine b login x password y\n\nmachine c password r";
        assert_eq!(user_of(text, "a"), some("u", "p \"q"));
        assert_eq!(user_of(text, "b"), None);
        assert_eq!(user_of(text, "c"), some("", "r"));
    }

    #[test]
    fn broken_texts_say_nothing_and_debug_neither() {
        for text in [
            "",
            "machine",
            "login u password CANARY",
            "machine a login u",
            "macdef",
            "\"",
            "machine a password",
        ] {
            assert_eq!(user_of(text, "a"), None, "{text}");
        }
        let shown = format!("{:?}", Netrc::parse("machine a login CANARY password CANARY"));
        assert_eq!(shown, "Netrc { entries: 1 }");
    }
}
