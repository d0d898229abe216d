use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use object_store::{CredentialProvider, Error};

use super::error::NoCredentials;

/// Credentials whose errors say only that there are none: the client's own may show what a token server answered.
pub(super) struct Credentials<T>(Arc<dyn CredentialProvider<Credential = T>>);

impl<T: Send + Sync> Credentials<T> {
    pub(super) fn of(inner: Arc<dyn CredentialProvider<Credential = T>>) -> Arc<Self> {
        Arc::new(Self(inner))
    }
}

impl<T> fmt::Debug for Credentials<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl<T: Send + Sync> CredentialProvider for Credentials<T> {
    type Credential = T;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<T>>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async {
            let found = self.0.get_credential().await;
            found.map_err(|_| Error::Generic { store: "credentials", source: Box::new(NoCredentials) })
        })
    }
}
