//! A hostile receiver: a real HTTP server on this machine that honours `Idempotency-Key`, and otherwise does what receivers
//! and networks do.
//!
//! **What it promises to its clients**, whatever else it does: a body that it has committed, or has refused for good, it
//! recognises by its key, and answers as it did before. One key with two bodies is a violation, and so is a request
//! that is not what the sink's documentation says; [`Books::violations`] has them all.
//!
//! **What it does to them** is a [`Script`]: each [`Fault`] with its odds for each request, until the script's budget is
//! spent, so that every script comes to an end. Every fault that was really done is counted.
//!
//! A test that kills its client asks to be told of each [`Moment`] by a [`Hook`], which says whether it did.

mod books;
mod certificates;
mod fault;
mod script;
mod server;

pub use self::{
    books::Books,
    certificates::Authority,
    fault::{Fault, Tally},
    script::{Protocol, Script, Spell},
    server::{Hook, Moment, Receiver},
};
