//! What transforms with state by key have in common.
//!
//! **State is rows, saved as deltas.** A [`Table`] knows which of its rows changed since the last snapshot; a transform keeps
//! one table for each sort of row, told apart by the first byte of the row's key. So a checkpoint costs what
//! changed, however much is held, and what came and went between two checkpoints costs nothing.
//!
//! **Samples are held, not sums** ([`Sample`]). A deletion names an id and nothing else, and a late record may come before any
//! other: only who still has the samples can take one back, or say which came first. They are kept in order of event
//! time ([`Slices`]), so a result is computed over the same numbers in the same order, whatever the order of arrival:
//! sums of doubles are equal to the last bit.
//!
//! **A key is the type, the unit and some texts of a record** ([`Groups`]): what is measured in different units is never
//! mixed and never converted.
//!
//! **A result keeps its id** ([`Shown`], [`Identity`]): its contents raise its revision, and when it is withdrawn it is deleted. A
//! deleted id never comes back, because stores keep tombstones: the result that takes its place has another *life*, which is
//! part of its id.

mod clock;
mod groups;
mod identity;
mod index;
mod origins;
mod recent;
mod row;
mod sample;
mod saved;
mod shown;
mod slices;
mod source;
mod table;
mod tally;

pub(super) use self::{
    clock::Clock,
    groups::{Groups, MAX_GROUPS},
    identity::Identity,
    origins::{OriginNumber, Origins},
    recent::Recent,
    row::{Get, Put, Row, damaged, read},
    sample::{MAX_SAMPLES, Sample, check_samples},
    saved::{Basis, delta, each_row},
    shown::{Shown, digest},
    slices::Slices,
    source::{Sources, source_digest},
    table::Table,
    tally::Tally,
};
