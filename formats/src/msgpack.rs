//! Records in MessagePack: the form of disk queues, and between tasks.
//!
//! The first byte is the version of the form. The rest is an array of records as `afferent_core` derives it
//! (structs as arrays, so a field's name costs nothing), which a newer version of the program may extend and
//! must still read.

use afferent_core::{Batch, Error, Record, Result};
use serde::Deserialize;

/// The version that is written.
pub const VERSION: u8 = 1;

/// How deep values may lie in one another when they are read: several times what
/// [`MAX_CORRELATION_DEPTH`](crate::wire::MAX_CORRELATION_DEPTH) needs, and little stack.
const MAX_DEPTH: usize = 128;

/// Appends `records` to `out`.
///
/// # Errors
/// `Bug` if a record can't be written, which no record is known for.
pub fn encode(records: &[Record], out: &mut Vec<u8>) -> Result<()> {
    out.push(VERSION);
    rmp_serde::encode::write(out, records)
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
    // The cause may repeat a value, so it is not kept.
    let damaged = |_| Error::state("stored records are damaged: expected records in MessagePack");
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(MAX_DEPTH);
    let mut records = Vec::<Record>::deserialize(&mut deserializer).map_err(damaged)?;
    if !rest.is_empty() {
        return Err(Error::state("stored records are damaged: expected their end, found more bytes"));
    }
    out.append(&mut records);
    Ok(())
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

    /// Scenario: bytes of a newer version. Guarantees: they are refused by their version.
    #[test]
    fn a_newer_version_is_refused() {
        let error = decode(&[VERSION + 1, 0x90], &mut Batch::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains(&format!("have version {}", VERSION + 1)), "{error}");
    }
}
