//! Servers on this machine, which stand for receivers, givers of tokens and proxies.
#![allow(clippy::disallowed_methods, reason = "a server is another process, as it were")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, Version, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// What a server was sent.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// A header's value, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) type Answer = Response<Full<Bytes>>;
type Answers = Arc<dyn Fn(&Seen, usize) -> Answer + Send + Sync>;

/// An answer without a body.
pub(crate) fn status(status: u16) -> Answer {
    Response::builder().status(status).body(Full::default()).unwrap()
}

/// An answer of JSON.
pub(crate) fn json(status: u16, text: serde_json::Value) -> Answer {
    Response::builder().status(status).body(Full::new(text.to_string().into())).unwrap()
}

/// Serves on a port of its own until the test ends.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// HTTP/1.1 without TLS. Each answer may depend on what was sent, and on how many requests came before.
    pub(crate) async fn plain(answer: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Server {
        let (seen, answers): (Arc<Mutex<Vec<Seen>>>, Answers) = (Arc::default(), Arc::new(answer));
        let all = seen.clone();
        let address = listen(move |stream| serve(stream, false, all.clone(), answers.clone())).await;
        Server { address, seen }
    }

    /// With TLS, and HTTP/2 where both offer it.
    pub(crate) async fn tls(
        config: rustls::ServerConfig,
        answer: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let (seen, answers): (Arc<Mutex<Vec<Seen>>>, Answers) = (Arc::default(), Arc::new(answer));
        let all = seen.clone();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = listen(move |stream| {
            let (acceptor, all, answers) = (acceptor.clone(), all.clone(), answers.clone());
            async move {
                // A client that is not let in is no failure of the server.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                serve(stream, is_h2, all, answers).await;
            }
        })
        .await;
        Server { address, seen }
    }

    /// The address for clients that need no TLS.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was sent so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The paths it was asked for so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|request| request.path).collect()
    }
}

/// Hands each connection to `handle`.
pub(crate) async fn listen<F>(mut handle: impl FnMut(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    address
}

/// An address of this machine at which nobody listens: while it lives, nobody else is given its port.
#[derive(Debug)]
pub(crate) struct Nobody(TcpSocket);

impl Nobody {
    pub(crate) fn new() -> Nobody {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Nobody(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

/// Reads a request of HTTP/1.1, whole.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            if count == 0 {
                return read;
            }
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
        if count == 0 || read.len() >= head.len() + 4 + length {
            return read;
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    is_h2: bool,
    all: Arc<Mutex<Vec<Seen>>>,
    answers: Answers,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (all, answers) = (all.clone(), answers.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            let path = parts.uri.path().to_owned();
            let request = Seen { path, version: parts.version, headers: parts.headers, body };
            let mut all = all.lock().unwrap();
            let response = answers(&request, all.len());
            all.push(request);
            Ok::<_, hyper::Error>(response)
        }
    });
    // That the client goes away is no failure of the server.
    let _ = match is_h2 {
        true => {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.serve_connection(TokioIo::new(stream), service).await
        }
        false => {
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
        }
    };
}
