//! [`Listeners`]: the addresses of a process, each shared by the pipelines that ask for it.

use std::{net::SocketAddr, sync::Arc};

use afferent_core::{Error, Result, blocking::Blocking};
use tokio::net::TcpListener;

use super::{
    Config,
    endpoint::Endpoint,
    listener::{Listener, ListenerSettings},
    routes::{NotAdded, Routes},
};

/// All listeners of a process. Clones share them.
///
/// An address is bound when the first pipeline asks for it and let go when the last one has gone. Port 0 is a port of its own
/// each time; which one, a notice of the pipeline and [`bound`](Listeners::bound) say.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    all: Arc<tokio::sync::Mutex<Vec<Arc<Listener>>>>,
    blocking: Blocking,
}

/// A pipeline's path at an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    routes: Arc<Routes>,
    path: String,
    pub(super) address: SocketAddr,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.routes.remove(&self.path);
    }
}

impl Listeners {
    /// None yet.
    pub fn new() -> Listeners {
        Listeners::default()
    }

    /// The addresses that are bound.
    pub async fn bound(&self) -> Vec<SocketAddr> {
        self.all
            .lock()
            .await
            .iter()
            .filter(|listener| !listener.is_stopped())
            .map(|listener| listener.address)
            .collect()
    }

    /// Listens for `endpoint` where `config` says.
    ///
    /// # Errors
    /// `Config` when another pipeline has the path, or the address with other settings; `CantCreate` when it can't be bound.
    pub(super) async fn listen(&self, config: &Config, endpoint: Arc<Endpoint>) -> Result<Lease> {
        let address = config.address().ok_or_else(|| Error::config("`listen` is no address with a port"))?;
        let settings = ListenerSettings::of(config);
        let mut all = self.all.lock().await;
        if let Some(listener) = all.iter().find(|listener| address.port() != 0 && listener.address == address)
        {
            match listener.routes.add(&config.path, endpoint.clone()) {
                Ok(()) => {
                    let lease = Lease { routes: listener.routes.clone(), path: config.path.clone(), address };
                    // The lease takes the path away again.
                    listener.settings.agrees_with(&settings, address)?;
                    return Ok(lease);
                }
                Err(NotAdded::Taken) => {
                    return Err(Error::config(format!(
                        "another pipeline receives at {address} under {}; give this one another `path` or `listen`",
                        config.path
                    )));
                }
                // Its socket is closed in a moment; only then can the address be bound again.
                Err(NotAdded::Stopped) => listener.released().await,
            }
        }
        all.retain(|listener| !listener.is_stopped());
        let certificates = settings.certificates(&self.blocking).await?;
        let socket = TcpListener::bind(address).await.map_err(|error| {
            Error::cant_create(format!(
                "can't listen on {address}: {error} (another program may have the port, or the address is not this machine's)"
            ))
        })?;
        let bound = socket
            .local_addr()
            .map_err(|error| Error::cant_create(format!("can't listen on {address}: {error}")))?;
        let listener = Listener::new(bound, settings, certificates, self.blocking.clone());
        let added = listener.routes.add(&config.path, endpoint);
        debug_assert_eq!(added, Ok(()), "it is new");
        let lease = Lease { routes: listener.routes.clone(), path: config.path.clone(), address: bound };
        listener.start(socket);
        all.push(listener);
        Ok(lease)
    }
}
