//! [`Receiver`]: sockets, TLS, HTTP.

use std::{
    convert::Infallible,
    future::pending,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use afferent_core::clock::{self, Clock};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Authority, Books, Fault, Protocol, Script,
    books::{Asked, Fate},
};
use crate::given::Identity;

/// What a test can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A client has connected.
    Connected,
    /// A request was read, and nothing is committed yet.
    Read,
    /// What becomes of it is decided, and it is not answered yet.
    Decided,
}

/// Is told of each moment; whether it killed the client there. What its victim asked for is then not done any more.
pub type Hook = Box<dyn FnMut(Moment) -> bool + Send>;

/// A hostile receiver. It serves until its runtime ends.
#[derive(Clone)]
pub struct Receiver(Arc<Inner>);

struct Inner {
    address: String,
    books: Mutex<Books>,
    /// Ours, and that of an authority which nobody trusts.
    tls: Option<[TlsAcceptor; 2]>,
    http2: bool,
    token: Option<PathBuf>,
    lines: Mutex<Vec<Arc<Line>>>,
    hook: Mutex<Option<Hook>>,
}

/// A connection, as far as it can be ended from elsewhere.
#[derive(Debug, Default)]
struct Line {
    cut: Notify,
    go_away: Notify,
}

/// The token that is taken until a spell of refusals begins.
const FIRST_TOKEN: &str = "hush-4711-first";
/// And the one that is wanted from then on.
const SECOND_TOKEN: &str = "hush-4711-second";

impl Receiver {
    /// Begins to serve. `token` is the file in which the client finds its bearer token; the receiver writes it, and anew
    /// when a spell of refusals is over.
    ///
    /// # Panics
    /// If there is no port, or the file can't be written.
    pub async fn start(
        script: Script,
        poison: impl IntoIterator<Item = Identity>,
        authority: &Authority,
        token: Option<PathBuf>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let http2 = script.protocol == Protocol::Http2;
        let (scheme, tls) = match script.protocol {
            Protocol::Plain => ("http", None),
            Protocol::Http1 | Protocol::Http2 => {
                let ours = [authority.server(http2), Authority::new().server(http2)];
                ("https", Some(ours.map(|config| TlsAcceptor::from(Arc::new(config)))))
            }
        };
        if let Some(token) = &token {
            write_token(token, FIRST_TOKEN);
        }
        let wanted = token.is_some().then(|| format!("Bearer {FIRST_TOKEN}"));
        let receiver = Receiver(Arc::new(Inner {
            address: format!("{scheme}://127.0.0.1:{port}/ingest"),
            books: Mutex::new(Books::new(script, poison.into_iter().collect(), wanted, seed, clock)),
            tls,
            http2,
            token,
            lines: Mutex::default(),
            hook: Mutex::default(),
        }));
        start(receiver.clone().accept_all(listener));
        receiver
    }

    /// What every token has in it, and nothing that is ever told.
    pub const SECRET: &str = "hush-4711";

    /// Where bodies are to be sent.
    pub fn url(&self) -> &str {
        &self.0.address
    }

    /// What it knows.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.0.books)
    }

    /// Tells `hook` from now on.
    pub fn tell(&self, hook: Hook) {
        *lock(&self.0.hook) = Some(hook);
    }

    /// Whether the hook killed the client at this moment.
    fn killed_at(&self, moment: Moment) -> bool {
        lock(&self.0.hook).as_mut().is_some_and(|hook| hook(moment))
    }

    async fn accept_all(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            if !self.killed_at(Moment::Connected) {
                start(self.clone().serve(stream));
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        if self.books().misfortune(|fault| fault == Fault::Refused).is_some() {
            return;
        }
        let line = Arc::new(Line::default());
        lock(&self.0.lines).push(line.clone());
        // Small frames must not wait for the client's delayed acknowledgements: that takes real time, and the test's clock runs on.
        stream.set_nodelay(true).expect("an option of a socket");
        // Another handle to the same socket, to break the connection while HTTP has the first.
        let stream = stream.into_std().expect("a socket");
        let twin = TcpStream::from_std(stream.try_clone().expect("a handle")).expect("a socket");
        let stream = TcpStream::from_std(stream).expect("a socket");
        let Some([ours, foreign]) = &self.0.tls else { return self.speak(stream, &line, twin).await };
        if self.is_foreign() {
            if foreign.accept(stream).await.is_err() {
                self.books().did(Fault::ForeignCertificate);
            } else {
                self.books().violations.push("a foreign certificate was trusted".to_owned());
            }
        } else if let Ok(stream) = ours.accept(stream).await {
            self.speak(stream, &line, twin).await;
        }
    }

    /// Whether the spell of the foreign certificate lasts.
    fn is_foreign(&self) -> bool {
        let books = self.books();
        let struck = books.faults.get(&Fault::ForeignCertificate).copied().unwrap_or(0);
        books.script.foreign.is_some_and(|spell| books.requests >= spell.from && struck < spell.times)
    }

    /// Serves requests until the connection ends, or is cut.
    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        line: &Arc<Line>,
        twin: TcpStream,
    ) {
        let service = service_fn(|request| {
            let (receiver, line) = (self.clone(), line.clone());
            async move { Ok::<_, Infallible>(receiver.answer(request, &line).await) }
        });
        let io = TokioIo::new(stream);
        // What ends a connection badly is the client's affair.
        if self.0.http2 {
            let mut conn =
                pin!(conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service));
            loop {
                tokio::select! {
                    _ = &mut conn => return,
                    () = line.cut.notified() => break,
                    () = line.go_away.notified() => conn.as_mut().graceful_shutdown(),
                }
            }
        } else {
            let mut conn = pin!(conn::http1::Builder::new().serve_connection(io, service));
            tokio::select! {
                _ = &mut conn => return,
                () = line.cut.notified() => {}
            }
        }
        // Half of them as a reset, the others as an end that comes too early.
        if self.books().below(2) == 0 {
            twin.set_zero_linger().expect("an option of a socket");
        }
    }

    async fn answer(&self, request: Request<Incoming>, line: &Line) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return pending().await };
        let asked = Asked {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            content: body.to_bytes(),
        };
        if self.killed_at(Moment::Read) {
            return pending().await;
        }
        let (fate, begins_foreign) = {
            let mut books = self.books();
            self.renew_credentials(&mut books);
            let fate = books.judge(&asked, self.0.http2);
            (fate, books.script.foreign.is_some_and(|spell| books.requests == spell.from))
        };
        self.killed_at(Moment::Decided);
        if begins_foreign {
            // It restarts with another certificate.
            for line in lock(&self.0.lines).drain(..) {
                line.cut.notify_one();
            }
        }
        let answer = match fate {
            Fate::Answer(answer) => answer,
            Fate::Late(wait, answer) => {
                clock::sleep(wait).await;
                answer
            }
            Fate::Commit(wait, key) => {
                let busy = Busy { receiver: self, key };
                clock::sleep(wait).await;
                self.books().settle(&busy.key)
            }
            Fate::Silence => return pending().await,
            Fate::Cut => {
                line.cut.notify_one();
                return pending().await;
            }
            Fate::GoAway(answer) => {
                line.go_away.notify_one();
                answer
            }
            Fate::GoAwayAndCut => {
                line.go_away.notify_one();
                // So that the client hears it first.
                tokio::task::yield_now().await;
                line.cut.notify_one();
                return pending().await;
            }
        };
        let mut response = Response::builder().status(answer.status);
        if let Some(retry_after) = answer.retry_after {
            response = response.header("retry-after", retry_after);
        }
        response.body(Full::default()).expect("a status and a header")
    }

    /// Begins and ends the spell of refused credentials.
    fn renew_credentials(&self, books: &mut Books) {
        let (Some(spell), Some(token)) = (books.script.unauthorized, &self.0.token) else { return };
        // The request that is about to be counted.
        if books.requests + 1 < spell.from {
            return;
        }
        books.wanted = Some(format!("Bearer {SECOND_TOKEN}"));
        if books.faults.get(&Fault::Unauthorized).copied().unwrap_or(0) == spell.times {
            write_token(token, SECOND_TOKEN);
        }
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("address", &self.0.address).finish_non_exhaustive()
    }
}

/// A body is about to be committed, or its connection has gone.
struct Busy<'r> {
    receiver: &'r Receiver,
    key: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.receiver.books().leave(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked has failed already.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::disallowed_methods, reason = "the receiver is another process, as it were")]
fn start(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

#[allow(clippy::disallowed_methods, reason = "the receiver stands for whoever renews the token, too")]
fn write_token(path: &std::path::Path, token: &str) {
    std::fs::write(path, token).expect("a file of the test");
}
