//! [`Routes`]: which endpoint a path is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use tokio_util::sync::CancellationToken;

use super::{
    answer::{Answer, Refusal},
    endpoint::Endpoint,
};

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
        let answer = match endpoint {
            Some(endpoint) => endpoint.answer(request).await,
            None => Answer::Refused(Refusal::NoSuchPath),
        };
        answer.into_response()
    }

    fn endpoints(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Endpoint>>> {
        // Each change is one step.
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
