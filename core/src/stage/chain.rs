//! Chains of named transforms, static ([`Chain`]) and boxed ([`Line`]).

use std::collections::BTreeMap;

use super::{
    boxed::BoxTransform,
    by_type::{Counted, Said},
    emit::Counts,
    look::Look,
    permit::Permission,
};
use crate::{
    Batch, Census, Emit, Error, Name, Result, Snapshot, State, Tap, Timestamp, Transform, TransformCx,
};

/// A chain of named transforms, as the engine drives it.
pub trait Transforms: Send + 'static {
    /// What goes into the first.
    type In: Send + 'static;
    /// What comes out of the last.
    type Out: Send + 'static;

    /// Drives a batch through the whole chain.
    fn apply(&mut self, input: &mut Batch<Self::In>, out: &mut Emit<Self::Out>) -> Result<()>;
    /// Drives a batch through the chain from the transform `stage` on. Whether it could: a static chain takes such a batch
    /// only at a transform whose input is its own.
    fn apply_from(
        &mut self,
        stage: &Name,
        input: &mut Batch<Self::In>,
        out: &mut Emit<Self::Out>,
    ) -> Result<bool> {
        let _ = (stage, input, out);
        Ok(false)
    }
    /// Lets time pass in every stage, first to last; what one gives out goes through those after it.
    fn tick(&mut self, now: Timestamp, out: &mut Emit<Self::Out>) -> Result<()>;
    /// Ends every stage, first to last; what one gives out goes through those after it.
    fn finish(&mut self, out: &mut Emit<Self::Out>) -> Result<()>;
    /// What the last transforms would let pass now of what has passed. A static chain asks its last one.
    fn permission(&mut self) -> Permission<Self::Out> {
        Permission::Free
    }
    /// Calls `f` with every stage, first to last.
    fn stages(&mut self, f: &mut dyn FnMut(&mut dyn StageState) -> Result<()>) -> Result<()>;
}

/// The part of a named transform that the engine saves and restores.
pub trait StageState {
    /// Its name, which keys its state.
    fn name(&self) -> &Name;
    /// Tells it who it is, in `pipeline`.
    fn open(&mut self, pipeline: &Name) -> Result<()>;
    /// A look at what is outside, if it takes anything from there.
    fn look(&mut self, now: Timestamp) -> Option<Look>;
    /// How many records it holds in its state.
    fn held(&self) -> u64;
    /// The same by type, if it is counted.
    fn held_by_type(&self) -> Option<&Census>;
    /// What changed since the last snapshot.
    fn snapshot(&mut self) -> Result<Snapshot>;
    /// Takes up a saved state in which `held` records are held, and of which types; what is missing there has none.
    fn restore(&mut self, state: State, held: u64, by_type: Census) -> Result<()>;
}

/// A transform with its name and the account of what it holds.
pub struct Named<X: Transform> {
    name: Name,
    transform: X,
    held: u64,
    counted: Option<Box<Counted<X::In, X::Out>>>,
}

impl<X: Transform> Named<X> {
    /// Names `transform`.
    pub fn new(name: impl Into<Name>, transform: X) -> Named<X> {
        Named { name: name.into(), transform, held: 0, counted: None }
    }

    /// Counts what it does by type, too.
    pub fn counting(self, input: Tap<X::In>, output: Tap<X::Out>) -> Named<X> {
        let counted = Counted { input, output, held: Census::new() };
        Named { counted: Some(Box::new(counted)), ..self }
    }

    /// The input, counted by type, if it is.
    fn census(&self, input: &[X::In]) -> Option<Census> {
        let counted = self.counted.as_ref()?;
        let mut census = Census::new();
        (counted.input)(input, &mut census);
        Some(census)
    }

    /// [`apply`](Transforms::apply), where the input was counted; its output, counted.
    fn apply_counted(
        &mut self,
        input: &mut Batch<X::In>,
        census: Option<Census>,
        out: &mut Emit<X::Out>,
    ) -> Result<Option<Census>> {
        self.audited(input.len(), census, out, |transform, out| transform.apply(input, out))
    }

    /// Runs `call` and checks that everything that came in is accounted for; what came out, counted by type if it is.
    fn audited(
        &mut self,
        input: usize,
        census: Option<Census>,
        out: &mut Emit<X::Out>,
        call: impl FnOnce(&mut X, &mut Emit<X::Out>) -> Result<()>,
    ) -> Result<Option<Census>> {
        out.set_stage(&self.name);
        let (before, emitted, rejected) = (out.counts(), out.batch.len(), out.rejected());
        call(&mut self.transform, out).map_err(|error| error.at(&self.name))?;
        let after = out.counts();
        let held = after.held - before.held;
        let came_in = input as i128 + i128::from(after.derived - before.derived);
        let went_out = (out.batch.len() - emitted) as i128
            + i128::from(after.filtered - before.filtered)
            + i128::from(after.superseded - before.superseded)
            + i128::from(after.dead - before.dead)
            + i128::from(held);
        self.held = self
            .held
            .checked_add_signed(held)
            .filter(|_| came_in == went_out)
            .ok_or_else(|| {
                Error::bug(format!(
                    "the transform's account does not balance: {came_in} records came in or were derived, {went_out} went out; report this"
                ))
                .at(&self.name)
            })?;
        let Some(counted) = &mut self.counted else { return Ok(None) };
        let mut output = Census::new();
        (counted.output)(&out.batch[emitted..], &mut output);
        let (of_types, rejects, by) = out.parts();
        let counts = Counts {
            filtered: after.filtered - before.filtered,
            superseded: after.superseded - before.superseded,
            derived: after.derived - before.derived,
            dead: after.dead - before.dead,
            held,
        };
        let mut rejects = rejects[rejected..].iter().map(|(_, reject)| reject);
        let said = Said { counts, of_types, rejects: &mut rejects };
        counted.settle(&census.unwrap_or_default(), &output, said, by).map_err(|what| {
            Error::bug(format!("the transform's account by type does not balance: {what}; report this"))
                .at(&self.name)
        })?;
        Ok(Some(output))
    }
}

impl<X: Transform> std::fmt::Debug for Named<X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Named").field("name", &self.name).field("held", &self.held).finish_non_exhaustive()
    }
}

impl<X: Transform> Transforms for Named<X> {
    type In = X::In;
    type Out = X::Out;

    fn apply(&mut self, input: &mut Batch<X::In>, out: &mut Emit<X::Out>) -> Result<()> {
        let census = self.census(input);
        self.apply_counted(input, census, out).map(drop)
    }

    fn apply_from(&mut self, stage: &Name, input: &mut Batch<X::In>, out: &mut Emit<X::Out>) -> Result<bool> {
        let is_this = *stage == self.name;
        if is_this {
            Transforms::apply(self, input, out)?;
        }
        Ok(is_this)
    }

    fn tick(&mut self, now: Timestamp, out: &mut Emit<X::Out>) -> Result<()> {
        self.audited(0, None, out, |transform, out| transform.tick(now, out)).map(drop)
    }

    fn finish(&mut self, out: &mut Emit<X::Out>) -> Result<()> {
        self.audited(0, None, out, |transform, out| transform.finish(out)).map(drop)
    }

    fn permission(&mut self) -> Permission<X::Out> {
        self.transform.permission()
    }

    fn stages(&mut self, f: &mut dyn FnMut(&mut dyn StageState) -> Result<()>) -> Result<()> {
        f(self)
    }
}

impl<X: Transform> StageState for Named<X> {
    fn name(&self) -> &Name {
        &self.name
    }
    fn open(&mut self, pipeline: &Name) -> Result<()> {
        let cx = TransformCx { pipeline: pipeline.clone(), stage: self.name.clone() };
        self.transform.open(&cx).map_err(|error| error.at(&self.name))
    }
    fn look(&mut self, now: Timestamp) -> Option<Look> {
        self.transform.look(now)
    }
    fn held(&self) -> u64 {
        self.held
    }
    fn held_by_type(&self) -> Option<&Census> {
        self.counted.as_ref().map(|counted| &counted.held)
    }
    fn snapshot(&mut self) -> Result<Snapshot> {
        self.transform.snapshot().map_err(|error| error.at(&self.name))
    }
    fn restore(&mut self, state: State, held: u64, by_type: Census) -> Result<()> {
        self.held = held;
        if let Some(counted) = &mut self.counted {
            counted.held = by_type;
            counted.held.fill(held);
        }
        self.transform.restore(state).map_err(|error| error.at(&self.name))
    }
}

/// No transform at all.
#[derive(Debug)]
pub struct Identity<T>(std::marker::PhantomData<fn(T) -> T>);

impl<T> Default for Identity<T> {
    fn default() -> Identity<T> {
        Identity(std::marker::PhantomData)
    }
}

impl<T: Send + 'static> Transforms for Identity<T> {
    type In = T;
    type Out = T;
    fn apply(&mut self, input: &mut Batch<T>, out: &mut Emit<T>) -> Result<()> {
        out.take(input);
        Ok(())
    }
    fn tick(&mut self, _: Timestamp, _: &mut Emit<T>) -> Result<()> {
        Ok(())
    }
    fn finish(&mut self, _: &mut Emit<T>) -> Result<()> {
        Ok(())
    }
    fn stages(&mut self, _: &mut dyn FnMut(&mut dyn StageState) -> Result<()>) -> Result<()> {
        Ok(())
    }
}

/// Two chains, one after the other; static.
#[derive(Debug)]
pub struct Chain<A: Transforms, B> {
    first: A,
    second: B,
    between: Emit<A::Out>,
}

impl<A: Transforms, B: Transforms<In = A::Out>> Chain<A, B> {
    /// `first`, then `second`.
    pub fn new(first: A, second: B) -> Chain<A, B> {
        Chain { first, second, between: Emit::new() }
    }

    /// Lets `give` fill the middle, and passes it on through the second.
    fn through(
        &mut self,
        out: &mut Emit<B::Out>,
        give: impl FnOnce(&mut A, &mut Emit<A::Out>) -> Result<()>,
    ) -> Result<()> {
        give(&mut self.first, &mut self.between)?;
        self.between.pass_on(out);
        if self.between.batch.is_empty() {
            return Ok(());
        }
        let result = self.second.apply(&mut self.between.batch, out);
        self.between.batch.clear();
        result
    }
}

impl<A: Transforms, B: Transforms<In = A::Out>> Transforms for Chain<A, B> {
    type In = A::In;
    type Out = B::Out;

    fn apply(&mut self, input: &mut Batch<A::In>, out: &mut Emit<B::Out>) -> Result<()> {
        self.through(out, |first, between| first.apply(input, between))
    }

    fn apply_from(&mut self, stage: &Name, input: &mut Batch<A::In>, out: &mut Emit<B::Out>) -> Result<bool> {
        let mut could = false;
        self.through(out, |first, between| {
            could = first.apply_from(stage, input, between)?;
            Ok(())
        })?;
        Ok(could)
    }

    fn tick(&mut self, now: Timestamp, out: &mut Emit<B::Out>) -> Result<()> {
        self.through(out, |first, between| first.tick(now, between))?;
        self.second.tick(now, out)
    }

    fn finish(&mut self, out: &mut Emit<B::Out>) -> Result<()> {
        self.through(out, |first, between| first.finish(between))?;
        self.second.finish(out)
    }

    fn permission(&mut self) -> Permission<B::Out> {
        self.second.permission()
    }

    fn stages(&mut self, f: &mut dyn FnMut(&mut dyn StageState) -> Result<()>) -> Result<()> {
        self.first.stages(f)?;
        self.second.stages(f)
    }
}

/// Any number of boxed transforms of one item type, one after the other.
pub struct Line<T: Send + 'static> {
    stages: Vec<Named<BoxTransform<T>>>,
    between: Emit<T>,
}

impl<T: Send + 'static> Line<T> {
    /// `stages`, first to last. Names must differ, because they key the states.
    ///
    /// # Errors
    /// `Config` when two have the same name.
    pub fn new(stages: Vec<(Name, BoxTransform<T>)>) -> Result<Line<T>> {
        let mut seen = BTreeMap::new();
        for (name, _) in &stages {
            if seen.insert(name.clone(), ()).is_some() {
                return Err(Error::config(format!(
                    "two transforms are named `{name}`; give one another name"
                )));
            }
        }
        let stages = stages.into_iter().map(|(name, transform)| Named::new(name, transform)).collect();
        Ok(Line { stages, between: Emit::new() })
    }

    /// Counts what each stage does by type, too.
    pub fn counting(self, tap: Tap<T>) -> Line<T> {
        let stages = self.stages.into_iter().map(|stage| stage.counting(tap, tap)).collect();
        Line { stages, ..self }
    }

    /// Passes what lies in `out` from `emitted` on through the stages from `from` on.
    fn pass(&mut self, from: usize, out: &mut Emit<T>) -> Result<()> {
        let mut census = self.stages.get(from).and_then(|stage| stage.census(&out.batch));
        for stage in &mut self.stages[from..] {
            if out.batch.is_empty() {
                return Ok(());
            }
            // `between` becomes the output; its old buffer becomes the next stage's.
            census = stage.apply_counted(&mut out.batch, census, &mut self.between)?;
            self.between.pass_on(out);
            out.batch.clear();
            std::mem::swap(&mut out.batch, &mut self.between.batch);
        }
        Ok(())
    }

    /// Drives `input` through the stages from `from` on.
    fn enter(&mut self, from: usize, input: &mut Batch<T>, out: &mut Emit<T>) -> Result<()> {
        let mut earlier = std::mem::take(&mut out.batch);
        out.batch.take_from(input);
        self.pass(from, out)?;
        if !earlier.is_empty() {
            earlier.take_from(&mut out.batch);
            out.batch = earlier;
        }
        Ok(())
    }

    /// Lets each stage `give` by itself, and passes on what it gave.
    fn each(
        &mut self,
        out: &mut Emit<T>,
        mut give: impl FnMut(&mut Named<BoxTransform<T>>, &mut Emit<T>) -> Result<()>,
    ) -> Result<()> {
        let mut given = Emit::new();
        for index in 0..self.stages.len() {
            give(&mut self.stages[index], &mut given)?;
            self.pass(index + 1, &mut given)?;
            given.pass_on(out);
            out.batch.take_from(&mut given.batch);
        }
        Ok(())
    }
}

impl<T: Send + 'static> Transforms for Line<T> {
    type In = T;
    type Out = T;

    fn apply(&mut self, input: &mut Batch<T>, out: &mut Emit<T>) -> Result<()> {
        self.enter(0, input, out)
    }

    fn apply_from(&mut self, stage: &Name, input: &mut Batch<T>, out: &mut Emit<T>) -> Result<bool> {
        let Some(index) = self.stages.iter().position(|named| named.name == *stage) else { return Ok(false) };
        self.enter(index, input, out)?;
        Ok(true)
    }

    fn tick(&mut self, now: Timestamp, out: &mut Emit<T>) -> Result<()> {
        self.each(out, |stage, out| stage.tick(now, out))
    }

    fn finish(&mut self, out: &mut Emit<T>) -> Result<()> {
        self.each(out, |stage, out| stage.finish(out))
    }

    fn permission(&mut self) -> Permission<T> {
        let last = self.stages.iter_mut().rev().map(Transforms::permission);
        let last = last.take_while(|permission| !matches!(permission, Permission::Free));
        last.fold(Permission::Free, Permission::and)
    }

    fn stages(&mut self, f: &mut dyn FnMut(&mut dyn StageState) -> Result<()>) -> Result<()> {
        self.stages.iter_mut().try_for_each(|stage| f(stage))
    }
}

impl<T: Send + 'static> std::fmt::Debug for Line<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|stage| &stage.name)).finish()
    }
}
