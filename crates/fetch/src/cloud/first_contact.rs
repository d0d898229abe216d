//! A store that never answered is not worth long patience: its endpoint may be misspelt.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

/// Attempts to connect to a server that never answered, as for [`HttpOrigin`](crate::HttpOrigin).
pub(super) const ATTEMPTS: u32 = 3;

/// Makes clients that tell servers which have answered from those that never did.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstContact(Arc<Mutex<HashMap<String, Standing>>>);

#[derive(Clone, Copy, Debug)]
enum Standing {
    Met,
    /// So many attempts to connect failed.
    Strange(u32),
}

impl FirstContact {
    fn met(&self, server: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(server, Standing::Met);
    }

    /// An attempt failed: how many did, if there is to be no other one.
    fn failed(&self, server: String) -> Option<NeverAnswered> {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match servers.entry(server).or_insert(Standing::Strange(0)) {
            Standing::Met => None,
            Standing::Strange(attempts) => {
                *attempts += 1;
                (*attempts >= ATTEMPTS).then_some(NeverAnswered { attempts: *attempts })
            }
        }
    }
}

impl HttpConnector for FirstContact {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Service { client, servers: self.clone() }))
    }
}

#[derive(Debug)]
struct Service {
    client: HttpClient,
    servers: FirstContact,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        match self.client.execute(request).await {
            Ok(response) => {
                self.servers.met(server);
                Ok(response)
            }
            Err(error) if error.kind() == HttpErrorKind::Connect => Err(match self.servers.failed(server) {
                // Of this kind none is tried again.
                Some(never) => HttpError::new(HttpErrorKind::Unknown, never),
                None => error,
            }),
            Err(error) => Err(error),
        }
    }
}

/// A server to which so many attempts to connect failed, and none succeeded: [`ATTEMPTS`], and one more with each request behind
/// them.
#[derive(Debug)]
pub(super) struct NeverAnswered {
    pub(super) attempts: u32,
}

impl fmt::Display for NeverAnswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection to a server that never answered")
    }
}

impl std::error::Error for NeverAnswered {}
