//! [`Wake`]: the store says that something changed.

use std::fmt;

use afferent_core::Kind;

/// One call of an observer query's handler: something changed, no more is known.
#[derive(Debug)]
pub struct Wake {
    /// The types that changed, where the system says so (iOS 15 and later).
    pub kinds: Option<Vec<Kind>>,
    /// To be called when the app has done what it wants to do in the background.
    pub completion: Completion,
}

/// The completion handler of a [`Wake`]. It is called exactly once: by [`complete`](Completion::complete),
/// or when it is dropped, so that no path can miss it.
pub struct Completion {
    handler: Option<Box<dyn FnOnce() + Send>>,
}

impl Completion {
    /// A completion that calls `handler`. The handler must not block.
    pub fn new(handler: impl FnOnce() + Send + 'static) -> Completion {
        Completion { handler: Some(Box::new(handler)) }
    }

    /// A completion that nobody waits for.
    pub fn none() -> Completion {
        Completion { handler: None }
    }

    /// Calls the handler.
    pub fn complete(self) {
        drop(self);
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(handler) = self.handler.take() {
            handler();
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").finish_non_exhaustive()
    }
}
