use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Which database. Its URL may hold a password, and is not shown.
#[derive(Clone)]
pub(crate) enum StorePlace {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A URL of PostgreSQL.
    Postgres(SecretString),
}

impl StorePlace {
    /// A URL that begins with `postgres://` or `postgresql://`, or `sqlite:` and a path, or a path.
    pub(crate) fn parse(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::Postgres(text.into());
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        Self::Sqlite(path.strip_prefix("//").unwrap_or(path).into())
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// As the driver takes it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => url_of_file(path),
            Self::Postgres(url) => url.expose_secret().to_owned(),
        }
    }
}

fn url_of_file(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // Of a file URL the path is escaped as the driver wants it.
    let escaped = Url::from_file_path(&path).map(|url| url.path().to_owned()).unwrap_or_default();
    format!("sqlite://{escaped}?mode=rwc")
}

impl fmt::Debug for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(_) => f.write_str("PostgreSQL"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let file = |text| StorePlace::parse(text).file().map(Path::to_owned);
        for text in ["a b.db", "sqlite:a b.db", "sqlite://a b.db"] {
            assert_eq!(file(text), Some("a b.db".into()), "{text}");
        }
        assert_eq!(file("sqlite:///var/a.db"), Some("/var/a.db".into()));
        let secret = StorePlace::parse("postgres://me:CANARY@db/x");
        assert!(!secret.is_sqlite() && !format!("{secret:?}").contains("CANARY"));
        assert!(StorePlace::parse("/x/a b.db").url().ends_with("/x/a%20b.db?mode=rwc"));
    }
}
