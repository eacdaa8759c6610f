//! Tests of the webhook source: over real sockets where it is about HTTP, over the simulated disk where it is about loss.

mod answers;
mod bodies;
mod certificates;
mod client;
mod committed;
mod configuration;
mod crashes;
mod dialects;
mod log;
mod signatures;
mod slow;
mod vendors;
mod world;

use self::{client::*, world::*};
use super::*;
