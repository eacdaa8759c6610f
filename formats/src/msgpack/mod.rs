//! Records in MessagePack: the form of disk queues, and between tasks. (What other programs write as MessagePack, `format =
//! "msgpack"`, is the wire form and has nothing in common with it but the encoding.)
//!
//! The first byte is the version of the form. The rest is, in version 2, tables of what repeats and an array of records
//! that refer to them; in version 1, an array of records as `afferent_core` derives it. Structs are arrays, so a field's
//! name costs nothing; a newer version of the program may extend them and must still read both.

mod encode;
mod form;
mod packed;

use std::sync::Arc;

use afferent_core::{Batch, Error, Metadata, Record, Result, Value};
use serde::de::DeserializeOwned;

pub use self::form::is_whole;
use self::packed::Packed;
pub(crate) use self::{encode::MsgpackEncoder, form::MsgpackDecoder};

/// The version that is written.
pub const VERSION: u8 = 2;

/// How deep values may lie in one another when they are read: several times what
/// [`MAX_CORRELATION_DEPTH`](crate::wire::MAX_CORRELATION_DEPTH) needs, and little stack.
const MAX_DEPTH: usize = 128;

/// Appends `records` to `out`.
///
/// # Errors
/// `Bug` if a record can't be written, which no record is known for.
pub fn encode(records: &[Record], out: &mut Vec<u8>) -> Result<()> {
    out.push(VERSION);
    rmp_serde::encode::write(out, &Packed::new(records))
        .map_err(|error| Error::bug("records can't be written as MessagePack").with_source(error))
}

/// Reads what [`encode`] wrote and adds it to `out`.
///
/// # Errors
/// `State` if a newer version wrote it, or if it is damaged; `out` is as it was then.
pub fn decode(bytes: &[u8], out: &mut Batch<Record>) -> Result<()> {
    let Some((&version, mut rest)) = bytes.split_first() else {
        return Err(Error::state("stored records are damaged: expected a version, found nothing"));
    };
    if version == 0 || version > VERSION {
        return Err(Error::state(format!(
            "stored records have version {version}, this program reads 1 to {VERSION}; use the program that wrote them, or a newer one"
        )));
    }
    let damaged = || Error::state("stored records are damaged: expected records in MessagePack");
    let records = match version {
        1 => read::<Vec<Record>>(&mut rest),
        _ => read::<Packed<Value, Arc<Metadata>>>(&mut rest).and_then(Packed::unpack),
    };
    let records = records.filter(|_| rest.is_empty()).ok_or_else(damaged)?;
    out.take_from(&mut Batch::from(records));
    Ok(())
}

/// Reads a value and moves `bytes` behind it. The cause may repeat a value, so it is not kept.
fn read<T: DeserializeOwned>(bytes: &mut &[u8]) -> Option<T> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut deserializer).ok()
}

#[cfg(test)]
mod tests {
    use afferent_core::ErrorKind;
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    /// Scenario: any records, also cut short or with bytes behind them. Guarantees: G4, they come back as they
    /// were; what is damaged is refused and gives no record.
    #[test]
    fn any_records_come_back_as_they_were() {
        proptest!(|(records in proptest::collection::vec(testing::records(), 0..4), cut in any::<proptest::sample::Index>())| {
            let mut bytes = Vec::new();
            encode(&records, &mut bytes).unwrap();
            let mut batch = Batch::new();
            decode(&bytes, &mut batch).unwrap();
            prop_assert_eq!(&*batch, &records);
            let cut = cut.index(bytes.len());
            prop_assert_eq!(decode(&bytes[..cut], &mut batch).unwrap_err().kind(), ErrorKind::State);
            bytes.push(0xc0);
            prop_assert_eq!(decode(&bytes, &mut batch).unwrap_err().kind(), ErrorKind::State);
            prop_assert_eq!(batch.len(), records.len());
        });
    }

    /// Scenario: many records of few subjects, units and origins, and the same as version 1 wrote them. Guarantees: G4 and G5: both are read,
    /// and what was shared is shared again.
    #[test]
    fn what_repeats_is_written_once() {
        let origin = Arc::new(afferent_core::Origin { name: Some("Watch".into()), ..Default::default() });
        let record = |number: u128| {
            let kind = afferent_core::Kind::parse("HeartRate").unwrap();
            let unit = afferent_core::Unit::parse("count/min").unwrap();
            let (id, at) = (afferent_core::RecordId::from_u128(number), Default::default());
            let mut record = Record::added(id, kind, at, at, Value::Quantity(60.5, unit));
            record.subject = Some(["ada", "bo"][number as usize % 2].into());
            record.origin = Some(origin.clone());
            record
        };
        let records: Vec<Record> = (0..100).map(record).collect();
        let mut old = vec![1];
        rmp_serde::encode::write(&mut old, &records).unwrap();
        let mut new = Vec::new();
        encode(&records, &mut new).unwrap();
        assert!(new.len() * 2 < old.len(), "{} of {} bytes", new.len(), old.len());
        for bytes in [old, new.clone()] {
            let mut batch = Batch::new();
            decode(&bytes, &mut batch).unwrap();
            assert_eq!(*batch, records);
        }
        let mut batch = Batch::new();
        decode(&new, &mut batch).unwrap();
        let origins = batch.iter().map(|record| record.origin.as_ref().map(Arc::as_ptr));
        assert!(origins.collect::<std::collections::HashSet<_>>().len() == 1);
    }

    /// Scenario: bytes of a newer version. Guarantees: they are refused by their version.
    #[test]
    fn a_newer_version_is_refused() {
        let error = decode(&[VERSION + 1, 0x90], &mut Batch::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains(&format!("have version {}", VERSION + 1)), "{error}");
    }
}
