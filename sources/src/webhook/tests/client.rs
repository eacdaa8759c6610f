//! A client that says exactly what a test wants, and signs.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// JSON for `/in`.
pub(super) fn post(body: impl Into<Vec<u8>>) -> Post {
    Post { method: "POST", path: "/in".to_owned(), headers: Vec::new(), body: body.into() }
        .with("content-type", "application/json")
}

impl Post {
    /// With this header, in place of one of the same name.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Post {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Without this header.
    pub(super) fn without(mut self, name: &str) -> Post {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Signed with `secret` at `seconds`.
    pub(super) fn signed(self, secret: &str, id: &str, seconds: i64) -> Post {
        let key = SigningKey::parse(secret).unwrap();
        let mut content = format!("{id}.{seconds}.").into_bytes();
        content.extend_from_slice(&self.body);
        let signature = key.sign(&content);
        self.with("webhook-id", id)
            .with("webhook-timestamp", seconds.to_string())
            .with("webhook-signature", signature)
    }

    /// The bytes of a request of HTTP/1.1.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n",
            self.method,
            self.path,
            self.body.len()
        );
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Posts over connections of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Client {
        Client { address }
    }

    /// Sends `post`; the answer.
    pub(super) async fn send(&self, post: Post) -> Got {
        self.try_send(post).await.expect("an answer")
    }

    /// Sends `post`; the answer, unless the connection ends without one.
    pub(super) async fn try_send(&self, post: Post) -> Option<Got> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        talk(stream, &post.bytes()).await
    }
}

/// Sends `bytes`; the answer, unless the connection ends without one.
pub(super) async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Option<Got> {
    // What refuses a body early may not read it all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    hear(&mut stream).await
}

/// Reads an answer.
pub(super) async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Option<Got> {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let head = read.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8(read[..head].to_vec()).unwrap();
            let mut lines = text.split("\r\n");
            let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
            let headers: Vec<(String, String)> = lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
            if read.len() >= head + 4 + length {
                let body = serde_json::from_slice(&read[head + 4..head + 4 + length]).unwrap_or(Value::Null);
                return Some(Got { status, headers, body });
            }
        }
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return None;
        }
        read.extend_from_slice(&buffer[..count]);
    }
}
