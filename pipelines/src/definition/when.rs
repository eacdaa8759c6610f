//! A sink's `when`.

use afferent_core::{Record, engine::When};

use crate::cel::Predicate;

/// Lets through what meets `predicate`, and every deletion: a sink that has the sample must hear of its end, and
/// a deletion rarely has the fields that the condition is about.
pub(super) fn when(predicate: Predicate) -> When<Record> {
    Box::new(move |record| record.is_deletion() || predicate.matches(record))
}

#[cfg(test)]
mod tests {
    use afferent_core::{RecordId, Timestamp, Value};

    use super::*;

    /// Scenario: an addition that does not meet the condition, and the deletion of a sample. Guarantees: deletions pass a
    /// sink's `when` untouched.
    #[test]
    fn deletions_pass() {
        let mut when = when(Predicate::compile("type == 'StepCount'").unwrap());
        let (id, now) = (RecordId::from_u128(1), Timestamp::default());
        let of = |name: &str| afferent_core::Kind::parse(name).unwrap();
        assert!(!when(&Record::added(id, of("HeartRate"), now, now, Value::Category(0))));
        assert!(when(&Record::added(id, of("StepCount"), now, now, Value::Category(0))));
        assert!(when(&Record::deleted(id, Some(of("HeartRate")))));
        assert!(when(&Record::deleted(id, None)));
    }
}
