//! Fasten in a box: a server on this machine that speaks the documented API and sends signed webhooks, for development and tests.
//!
//! It shares no code with the client but the signatures and the names of modes. Where nothing is published (statuses of errors, the
//! spacing of retries) it does what is usual, and says so where it does.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

pub use options::{Misbehaviour, SimulatorOptions};

use clock::Clock;
use content::Content;
use world::World;

mod api;
mod clock;
mod content;
mod files;
mod identity;
mod options;
mod webhooks;
mod world;

/// A running simulator. It stops when it is dropped.
///
/// ```no_run
/// use fhirline_connect::{Simulator, SimulatorOptions};
///
/// let options = SimulatorOptions::new("export.jsonl").webhook("http://127.0.0.1:8080/webhooks/fasten/test");
/// let simulator = Simulator::start(options)?;
/// println!("FASTEN_API_BASE_URL={}", simulator.api_url());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Simulator {
    shared: Arc<Shared>,
    /// Ends its servers when it is dropped.
    _runtime: Runtime,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// The export cannot be read.
    #[error("cannot read the export {}", path.display())]
    Export {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An address is taken, or there are no threads.
    #[error("cannot begin to listen")]
    Listen(#[source] io::Error),
}

struct Shared {
    options: SimulatorOptions,
    content: Content,
    clock: Clock,
    world: Mutex<World>,
    api: SocketAddr,
    files: SocketAddr,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn download_url(&self, task_id: &str, file_id: &str) -> String {
        format!("http://{}/v1/bridge/fhir/ehi-export/{task_id}/download/{file_id}", self.api)
    }
}

impl Simulator {
    /// Listens on two ports of this machine, one for the API and one for the files, and waits to be asked.
    ///
    /// # Errors
    /// [`SimulateError`].
    pub fn start(options: SimulatorOptions) -> Result<Self, SimulateError> {
        let content = Content::of(&options)
            .map_err(|source| SimulateError::Export { path: options.export.clone(), source })?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(SimulateError::Listen)?;
        let listen = |port| runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        let api = listen(options.port).map_err(SimulateError::Listen)?;
        let files = listen(0).map_err(SimulateError::Listen)?;
        let address = |listener: &TcpListener| listener.local_addr().map_err(SimulateError::Listen);
        let shared = Arc::new(Shared {
            clock: Clock::at_speed(options.speed),
            content,
            world: Mutex::default(),
            api: address(&api)?,
            files: address(&files)?,
            options,
        });
        runtime.spawn(serve(api, api::routes(&shared).merge(identity::routes(&shared))));
        runtime.spawn(serve(files, files::routes(&shared)));
        Ok(Self { shared, _runtime: runtime })
    }

    /// The base of the API.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}/v1", self.shared.api)
    }

    /// The base of the identity server.
    #[must_use]
    pub fn identity_url(&self) -> String {
        format!("http://{}", self.shared.api)
    }

    /// The connections that it knows: exports can be requested of them.
    #[must_use]
    pub fn connections(&self) -> &[String] {
        &self.shared.options.connections
    }

    /// The link to the export of a task, as its event has it.
    #[must_use]
    pub fn link_of(&self, task_id: &str) -> Option<String> {
        let world = self.shared.world();
        let task = world.task(task_id)?;
        Some(self.shared.download_url(&world::dashed(&task.id), &task.file_id))
    }

    /// How often it was asked to do what it never should be: keys for the server of the files.
    #[must_use]
    pub fn leaked_keys(&self) -> u64 {
        self.shared.world().leaked_keys
    }

    /// Deliveries that were answered with success, and all that were tried.
    #[must_use]
    pub fn deliveries(&self) -> (u64, u64) {
        let world = self.shared.world();
        (world.delivered, world.attempted)
    }

    /// Whether nothing is being made or delivered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.world().under_way == 0
    }
}

async fn serve(listener: TcpListener, routes: axum::Router) {
    // It ends with the runtime, and not before.
    let _ = axum::serve(listener, routes).await;
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("api", &self.shared.api).finish_non_exhaustive()
    }
}
