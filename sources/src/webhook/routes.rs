//! [`Routes`]: which endpoint a path is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    header,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    answer::{Answer, Refusal},
    endpoint::Endpoint,
};

/// What is read of a refused body, and for how long, before it is answered: a connection that is closed while something is
/// unread is reset, and the sender may never see the answer.
const LINGER_BYTES: u64 = 256 << 10;
const LINGER: Duration = Duration::from_millis(500);

/// The paths of a listener. When the last one has gone, it stops, and takes no other.
#[derive(Debug, Default)]
pub(super) struct Routes {
    endpoints: Mutex<BTreeMap<String, Arc<Endpoint>>>,
    pub(super) stop: CancellationToken,
}

/// Why a path was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAdded {
    /// Another pipeline has it.
    Taken,
    /// The listener has stopped.
    Stopped,
}

impl Routes {
    /// Adds a path.
    pub(super) fn add(&self, path: &str, endpoint: Arc<Endpoint>) -> Result<(), NotAdded> {
        let mut endpoints = self.endpoints();
        if self.stop.is_cancelled() {
            return Err(NotAdded::Stopped);
        }
        if endpoints.contains_key(path) {
            return Err(NotAdded::Taken);
        }
        endpoints.insert(path.to_owned(), endpoint);
        Ok(())
    }

    /// Takes a path away.
    pub(super) fn remove(&self, path: &str) {
        let mut endpoints = self.endpoints();
        endpoints.remove(path);
        if endpoints.is_empty() {
            self.stop.cancel();
        }
    }

    /// Tells the pipelines of all paths.
    pub(super) fn alarm(&self, message: &str) {
        self.endpoints().values().for_each(|endpoint| endpoint.alarm(message));
    }

    /// The answer to a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let endpoint = self.endpoints().get(request.uri().path()).cloned();
        let (parts, mut body) = request.into_parts();
        let answer = match endpoint {
            Some(endpoint) => endpoint.answer(&parts, &mut body).await,
            None => Answer::Refused(Refusal::NoSuchPath),
        };
        let is_awaited = parts.headers.contains_key(header::EXPECT);
        if matches!(&answer, Answer::Refused(refusal) if *refusal != Refusal::TooSlow) && !is_awaited {
            discard(&mut body).await;
        }
        answer.into_response()
    }

    fn endpoints(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Endpoint>>> {
        // Each change is one step.
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads on in a body that is not wanted, if that comes to an end soon.
async fn discard(body: &mut Incoming) {
    if body.size_hint().lower() > LINGER_BYTES {
        return;
    }
    let rest = async {
        let mut read = 0;
        while read <= LINGER_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
    };
    // What is left then is the sender's affair.
    let _ = timeout(LINGER, rest).await;
}
