//! When: `effective[x]` and Periods.

use afferent_core::{Name, Timestamp};

use crate::zones::Zones;

/// Appends `,"effective…":…` for a time from `start` to `end`.
pub(super) fn write_effective(
    zones: &mut Zones,
    zone: Option<&Name>,
    start: Timestamp,
    end: Timestamp,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if start == end {
        out.extend_from_slice(b",\"effectiveDateTime\":");
        return zones.write_time(zone, start, out);
    }
    out.extend_from_slice(b",\"effectivePeriod\":");
    write_period(zones, zone, start, end, out)
}

/// Appends a Period.
pub(super) fn write_period(
    zones: &mut Zones,
    zone: Option<&Name>,
    start: Timestamp,
    end: Timestamp,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if end < start {
        return Err("it ends before it begins, which no period of FHIR does".to_owned());
    }
    out.extend_from_slice(b"{\"start\":");
    zones.write_time(zone, start, out)?;
    out.extend_from_slice(b",\"end\":");
    zones.write_time(zone, end, out)?;
    out.push(b'}');
    Ok(())
}
