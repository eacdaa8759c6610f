//! [`FileSource`]: hands the reader's steps to the engine.

use afferent_core::{
    Batch, Error, Pulled, Record, Result, Source, SourceCx,
    blocking::{Blocking, Job},
    clock,
};

use super::{
    Config, POLL_INTERVAL,
    reader::{Reader, Step},
};

/// Reads records from files; see the module's documentation.
#[derive(Debug)]
pub struct FileSource {
    config: Config,
    state: State,
}

#[derive(Debug)]
enum State {
    Closed,
    Open(Box<Open>),
    Ended,
}

#[derive(Debug)]
struct Open {
    blocking: Blocking,
    /// The step that is under way; it has the reader.
    job: Option<Job<(Reader, Result<Step>)>>,
    /// The reader, while no step is under way.
    reader: Option<Reader>,
    drained: bool,
    /// How many records a batch holds.
    records: usize,
}

impl FileSource {
    /// A source that reads the files of `config`.
    pub fn new(config: Config) -> FileSource {
        FileSource { config, state: State::Closed }
    }
}

impl Source for FileSource {
    type Item = Record;

    async fn open(&mut self, cx: SourceCx) -> Result<()> {
        let (config, blocking, records) = (self.config.clone(), cx.blocking.clone(), cx.limits.records);
        let reader = blocking.spawn(move || Reader::open(config, &cx)).await??;
        let mut open = Open { blocking, job: None, reader: Some(reader), drained: false, records };
        open.start();
        self.state = State::Open(Box::new(open));
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Pulled<Record>>> {
        let open = match &mut self.state {
            State::Open(open) => open,
            State::Ended => return Ok(None),
            State::Closed => return Err(Error::bug("`next` before `open`")),
        };
        loop {
            if open.job.is_none() {
                if open.drained {
                    clock::sleep(POLL_INTERVAL).await;
                }
                open.start();
            }
            // The job stays in its place while it is awaited, so that nothing is lost if this future is dropped.
            let job = open.job.as_mut().ok_or_else(|| Error::bug("a step lost the reader of the files"))?;
            let joined = job.await;
            open.job = None;
            let (reader, step) = joined?;
            open.reader = Some(reader);
            match step? {
                Step::Pulled(pulled) => {
                    open.drained = false;
                    open.start();
                    return Ok(Some(pulled));
                }
                Step::Dry(position) => {
                    if !std::mem::replace(&mut open.drained, true) {
                        return Ok(Some(Pulled::drained(position)));
                    }
                }
                Step::End => {
                    self.state = State::Ended;
                    return Ok(None);
                }
            }
        }
    }
}

impl Open {
    fn start(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            // Allocated on the engine's thread: threads of jobs change, and each would keep some of its memory.
            let batch = Batch::with_capacity(self.records);
            self.job = Some(self.blocking.spawn(move || {
                let step = reader.step(batch);
                (reader, step)
            }));
        }
    }
}
