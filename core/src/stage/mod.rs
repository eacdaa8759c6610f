//! Stages: sources, transforms and sinks, and how they are put together.

mod boxed;
mod by_type;
mod chain;
mod context;
mod each;
mod emit;
mod look;
mod permit;
mod sink;
mod source;
mod stream;
mod transform;

pub(crate) use self::by_type::ByType;
pub use self::{
    boxed::{BoxSink, BoxSource, BoxTransform, DynSink, DynSource},
    chain::{Chain, Identity, Line, Named, StageState, Transforms},
    context::{Committed, Fence, Limits, SinkCx, SourceCx, TransformCx},
    each::{Each, Filter, Map, Op, Ops, Then, ops},
    emit::{Counts, Emit},
    look::{Look, Looked},
    permit::{Permission, Permit},
    sink::{Opened, Prepared, Sink},
    source::{Pulled, Source},
    stream::{FromStream, from_stream, once},
    transform::Transform,
};
