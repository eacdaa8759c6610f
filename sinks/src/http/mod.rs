//! The `http` sink: records as bodies of any format that is written, by `POST`.
//!
//! What is promised, and how, is [`upload`](crate::upload)'s: exactly once at a receiver that honours `Idempotency-Key`. Here
//! is what HTTP adds.
//!
//! | answer | means |
//! |---|---|
//! | 2xx | delivered |
//! | 400, 413, 422 | refused: the records that it means are looked for |
//! | 401, 403 | the credentials: read anew, and tried now and then |
//! | 429, 5xx, no connection, none in time, a broken one | unavailable: all lanes wait |
//! | anything else, redirects too | this body later |
//!
//! `Retry-After` is heeded, as seconds or as a date, up to a day. An answer's status counts, its body is read up to 64 KiB and
//! thrown away. `Content-Length` is always set. TLS is rustls with ring, over the system's authorities; HTTP/2 where the
//! receiver offers it. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`), never to this machine.
//!
//! **Tokens** of OAuth 2.0 are fetched by a client secret, or by an assertion that a private key signs (SMART backend services),
//! and again before they expire or when they are refused.
//!
//! **Secrets** are never printed. Those in files are read again when the file changes, and all when the receiver refuses
//! them. Those from the environment stay what they were when the process started, because nobody can change a running
//! process's environment: a secret that is renewed belongs in a file. Certificates are read when the sink opens.

mod certificates;
mod client;
mod config;
mod credentials;
mod retry_after;
mod smart;
#[cfg(test)]
pub(crate) mod tests;

pub use afferent_core::secret::{Secret, SecretSource};

pub(crate) use self::client::read_answer;
pub use self::{
    client::Http,
    config::{Auth, BackendServices, Basic, ClientCredentials, Config, Timeouts, Tls},
};
use crate::upload::Upload;

/// A sink that uploads over HTTP.
pub type HttpSink = Upload<Http>;

impl HttpSink {
    /// A sink that sends where `config` says.
    pub fn http(config: Config) -> HttpSink {
        Upload::new(config.settings(), Http::new(config))
    }
}
