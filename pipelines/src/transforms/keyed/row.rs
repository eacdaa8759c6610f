//! The bytes of rows: a version, then fields of known length, in the order in which they are read.

use afferent_core::{Error, Kind, Name, Record, RecordId, Result, Unit};
use serde::{Serialize, de::DeserializeOwned};

/// Version of all rows.
const ROW_VERSION: u8 = 1;

/// What is kept as the value of a row.
pub(crate) trait Row: Sized {
    /// Writes its fields.
    fn put(&self, to: &mut Put<'_>);
    /// Reads them; `None` if they are damaged.
    fn get(from: &mut Get<'_>) -> Option<Self>;

    /// Where its saved row lies among those of its table, such as the µs at which it begins: rows of one time change at one time, and
    /// a checkpoint then writes few pages instead of one for each. Without it they lie in the order of their keys. Only
    /// [`Table::insert`](super::Table::insert) may change it.
    fn place(&self) -> Option<i64> {
        None
    }

    /// Writes the bytes of the row.
    fn write(&self, to: &mut Vec<u8>) {
        let mut put = Put(to);
        put.u8(ROW_VERSION);
        self.put(&mut put);
    }
}

/// Reads a row.
///
/// # Errors
/// `State` when it is damaged or of a newer version.
pub(crate) fn read<R: Row>(bytes: &[u8]) -> Result<R> {
    match bytes.split_first() {
        Some((&ROW_VERSION, rest)) => {
            let mut get = Get(rest);
            R::get(&mut get).filter(|_| get.0.is_empty()).ok_or_else(damaged)
        }
        Some((&version, _)) if version > ROW_VERSION => Err(Error::state(format!(
            "the saved rows have version {version}, this program reads up to {ROW_VERSION}; use the program that wrote them, or a newer one"
        ))),
        _ => Err(damaged()),
    }
}

/// What damaged rows mean.
pub(crate) fn damaged() -> Error {
    Error::state("the saved rows are damaged; start the pipeline again with --from-start to forget them")
}

/// Writes fields.
#[derive(Debug)]
pub(crate) struct Put<'a>(&'a mut Vec<u8>);

impl Put<'_> {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    pub(crate) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    pub(crate) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }
    pub(crate) fn id(&mut self, value: RecordId) {
        self.0.extend_from_slice(&value.to_bytes());
    }
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.u32(length_of(value));
        self.0.extend_from_slice(value);
    }
    pub(crate) fn record(&mut self, value: &Record) {
        self.plain(value);
    }
    /// Plain data as MessagePack; what can't be written would be damaged, and is refused when it is read.
    pub(crate) fn plain(&mut self, value: &impl Serialize) {
        let length = self.0.len();
        self.u32(0);
        let start = self.0.len();
        if rmp_serde::encode::write(self.0, value).is_err() {
            self.0.truncate(start);
        }
        let written = length_of(&self.0[start..]);
        self.0[length..start].copy_from_slice(&written.to_be_bytes());
    }
    pub(crate) fn text(&mut self, value: Option<&str>) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            self.bytes(value.as_bytes());
        }
    }
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("invariant: what is put into a row is far below 4 GiB")
}

/// Reads fields; `None` when there are too few bytes.
#[derive(Debug)]
pub(crate) struct Get<'a>(&'a [u8]);

impl<'a> Get<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }
    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.u64().map(f64::from_bits)
    }
    pub(crate) fn id(&mut self) -> Option<RecordId> {
        self.array().map(|bytes| RecordId::from_u128(u128::from_be_bytes(bytes)))
    }
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }
    pub(crate) fn text(&mut self) -> Option<Option<&'a str>> {
        match self.u8()? {
            0 => Some(None),
            1 => std::str::from_utf8(self.bytes()?).ok().map(Some),
            _ => None,
        }
    }
    pub(crate) fn record(&mut self) -> Option<Record> {
        self.plain()
    }
    pub(crate) fn plain<T: DeserializeOwned>(&mut self) -> Option<T> {
        rmp_serde::from_slice(self.bytes()?).ok()
    }
    pub(crate) fn name(&mut self) -> Option<Option<Name>> {
        self.text().map(|text| text.map(Name::from))
    }
    pub(crate) fn kind(&mut self) -> Option<Option<Kind>> {
        match self.text()? {
            Some(text) => Kind::from_data(text).ok().map(Some),
            None => Some(None),
        }
    }
    pub(crate) fn unit(&mut self) -> Option<Option<Unit>> {
        match self.text()? {
            Some(text) => Unit::parse(text).ok().map(Some),
            None => Some(None),
        }
    }
}
