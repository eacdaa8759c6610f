//! [`Listener`]: one address, its connections, and their time.
//!
//! Every wait for the other side has an end: for the handshake and the header of a request (hyper's, with the timer that it
//! needs to be in force), for its body (the endpoint's), for the next request, and for the end of a connection that is asked
//! to end. HTTP/2 is spoken where TLS has agreed on it; what it buffers and how many streams it opens is bounded.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use afferent_core::{Error, Result, blocking::Blocking, clock};
use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Config, Timeouts, config::Tls, routes::Routes, tasks, tls::Certificates};

/// What the headers of a request may take; signatures and traces need a fraction.
const HEADER_BYTES: usize = 16 << 10;
/// How many headers a request may have.
const MAX_HEADERS: usize = 64;
/// Requests at the same time on one connection of HTTP/2. A sender that has more opens another.
const MAX_STREAMS: u32 = 64;
/// Bytes of one stream, and of one connection, that may be under way before they are read.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// How long a connection that is asked to end may take: for answers that are under way.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait when the system has no handle for another connection.
const OUT_OF_HANDLES: Duration = Duration::from_millis(100);

/// What all pipelines at an address have to agree on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListenerSettings {
    tls: Option<Tls>,
    timeouts: Timeouts,
    connections: u32,
}

impl ListenerSettings {
    pub(super) fn of(config: &Config) -> ListenerSettings {
        ListenerSettings {
            tls: config.tls.clone(),
            timeouts: config.timeouts,
            connections: config.connections,
        }
    }

    /// # Errors
    /// `Config`, with the key that differs.
    pub(super) fn agrees_with(&self, other: &ListenerSettings, address: SocketAddr) -> Result<()> {
        let keys = [
            ("tls", self.tls != other.tls),
            ("timeouts", self.timeouts != other.timeouts),
            ("connections", self.connections != other.connections),
        ];
        match keys.iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((key, _)) => Err(Error::config(format!(
                "another pipeline listens on {address} with another `{key}`; say the same in both, or give this one another address"
            ))),
        }
    }

    /// Reads the certificates, if there are any.
    pub(super) async fn certificates(&self, blocking: &Blocking) -> Result<Option<Arc<Certificates>>> {
        let Some(tls) = self.tls.clone() else { return Ok(None) };
        let certificates = blocking.spawn(move || Certificates::open(tls)).await??;
        Ok(Some(Arc::new(certificates)))
    }
}

/// One address.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) settings: ListenerSettings,
    pub(super) routes: Arc<Routes>,
    certificates: Option<Arc<Certificates>>,
    /// The socket is closed.
    released: CancellationToken,
    blocking: Blocking,
}

impl Listener {
    pub(super) fn new(
        address: SocketAddr,
        settings: ListenerSettings,
        certificates: Option<Arc<Certificates>>,
        blocking: Blocking,
    ) -> Arc<Listener> {
        Arc::new(Listener {
            address,
            settings,
            routes: Arc::default(),
            certificates,
            released: CancellationToken::new(),
            blocking,
        })
    }

    /// Whether it takes no more requests.
    pub(super) fn is_stopped(&self) -> bool {
        self.routes.stop.is_cancelled()
    }

    /// Waits until its address can be bound again.
    pub(super) async fn released(&self) {
        self.released.cancelled().await;
    }

    /// Takes connections from `socket` until its last path has gone.
    pub(super) fn start(self: &Arc<Listener>, socket: TcpListener) {
        let (listener, released) = (self.clone(), self.released.clone());
        let accept = async move {
            // Whatever ends this, the socket is closed first.
            let _released = released.drop_guard();
            listener.accept(socket).await;
        };
        tasks::spawn(accept);
    }

    async fn accept(self: Arc<Listener>, socket: TcpListener) {
        let room = Arc::new(Semaphore::new(self.settings.connections as usize));
        loop {
            // Those for whom there is no room wait in the system's queue.
            let accepted = async {
                let room = room.clone().acquire_owned().await.expect("the semaphore is never closed");
                (socket.accept().await, room)
            };
            let Some((accepted, room)) = self.routes.stop.run_until_cancelled(accepted).await else { return };
            match accepted {
                Ok((stream, _)) => drop(tasks::spawn(self.clone().serve(stream, room))),
                Err(_) => clock::sleep(OUT_OF_HANDLES).await,
            }
        }
    }

    async fn serve(self: Arc<Listener>, stream: TcpStream, _room: OwnedSemaphorePermit) {
        // An answer is one small write: there is nothing to wait for. That it can't be said is no reason to refuse.
        let _ = stream.set_nodelay(true);
        let Some(certificates) = self.certificates.clone() else { return self.speak(stream, false).await };
        let job = self.blocking.spawn(move || certificates.current());
        let Ok((config, failure)) = job.await else { return };
        if let Some(failure) = failure {
            self.routes.alarm(&failure);
        }
        // Whoever is not let in is told so by TLS.
        let handshake = timeout(self.settings.timeouts.header.0, TlsAcceptor::from(config).accept(stream));
        if let Ok(Ok(stream)) = handshake.await {
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            self.speak(stream, is_h2).await;
        }
    }

    async fn speak(
        self: Arc<Listener>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        is_h2: bool,
    ) {
        let busy = watch::Sender::new(0_usize);
        let requests = busy.subscribe();
        let routes = self.routes.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (routes, busy) = (routes.clone(), Busy::begin(&busy));
            async move {
                let response = routes.answer(request).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        });
        let stream = TokioIo::new(stream);
        if is_h2 {
            let mut server = http2::Builder::new(TokioExecutor::new());
            server
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(HEADER_BYTES as u32)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW);
            self.attend(server.serve_connection(stream, service), requests).await;
        } else {
            let mut server = http1::Builder::new();
            server
                .timer(TokioTimer::new())
                .header_read_timeout(self.settings.timeouts.header.0)
                .max_headers(MAX_HEADERS)
                .max_buf_size(HEADER_BYTES);
            self.attend(server.serve_connection(stream, service), requests).await;
        }
    }

    /// Serves a connection until it ends, is idle for too long, or the listener stops.
    async fn attend(&self, connection: impl GracefulConnection, requests: watch::Receiver<usize>) {
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = idle(requests, self.settings.timeouts.idle.0) => {}
            () = self.routes.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        // How it ends is the other side's affair.
        let _ = timeout(GRACE, connection).await;
    }
}

/// Waits until there was no request for `limit`.
async fn idle(mut requests: watch::Receiver<usize>, limit: Duration) {
    loop {
        let is_idle = *requests.borrow_and_update() == 0;
        let changed =
            if is_idle { timeout(limit, requests.changed()).await } else { Ok(requests.changed().await) };
        // No request in time, or none any more.
        if !matches!(changed, Ok(Ok(()))) {
            return;
        }
    }
}

/// A request is under way.
struct Busy(watch::Sender<usize>);

impl Busy {
    fn begin(requests: &watch::Sender<usize>) -> Busy {
        requests.send_modify(|requests| *requests += 1);
        Busy(requests.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}
