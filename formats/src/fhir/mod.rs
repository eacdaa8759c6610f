//! FHIR R4 (HL7, release 4.0.1): records as Observations.
//!
//! # Shapes
//!
//! | [`Shape`] | an addition | a correction | a deletion |
//! |---|---|---|---|
//! | `Resource`: one Observation, in NDJSON one a line | `final` | `amended` | `entered-in-error`, with identifier and code |
//! | `Entry`: of a Bundle | `POST` with `ifNoneExist` | conditional `PUT` | conditional `DELETE` |
//!
//! Conditions are on the identifier, (Apple's system of HealthKit uuids, the record's id), so that a Bundle that is sent
//! again changes nothing. The `fullUrl` of an entry is derived from the id and differs from it: a server replaces a
//! `fullUrl` wherever it stands in the Bundle, and would replace an identifier of the same text too. A server carries out
//! the entries of a transaction in an order of its own, deletions first: a Bundle must not hold two entries of one record,
//! which is for whoever puts Bundles together.
//!
//! # What becomes of a record
//!
//! | record | Observation |
//! |---|---|
//! | id | `identifier` |
//! | type | `code`: LOINC where it has a code, and Apple's identifier; `category` of vital signs in one of their units |
//! | start, end | `effectiveDateTime` if they are equal, otherwise `effectivePeriod`; in the record's zone, as an offset of whole minutes up to 14 h, otherwise in `Z` |
//! | subject | `subject`, a reference by identifier: no server needs to know the person |
//! | source and device | extensions `sourceRevision` and `sourceDevice`, as HealthKitOnFHIR writes them; `device` by name |
//! | metadata | extension `metadata`, typed |
//! | revision | above 0 `amended`; the number itself is lost |
//!
//! | value | |
//! |---|---|
//! | quantity | `valueQuantity` in the record's own unit: nothing is converted. `unit` is the record's text, `code` UCUM's where it has one ([`terms::ucum`](crate::terms::ucum)). A percentage is in hundredths, its decimal point moved, which loses nothing |
//! | category | `valueCodeableConcept` of Apple's constant, otherwise `valueInteger`; so is sleep |
//! | correlation | a `component` of each quantity or category in it; their own ids, times, sources and metadata are lost |
//! | workout | `valueCodeableConcept` of the activity; components of its duration, statistics, events and parts; statistics of parts and the route's place are lost |
//! | electrocardiogram | components of its classification, heart rate and frequency, and its voltages as `SampledData` in µV |
//! | activity summary | a component of each number, and of the day |
//! | aggregate | a component of each result, by FHIR's name of the statistic |
//! | JSON | `valueString` |
//! | heartbeat series | refused: `SampledData` is evenly spaced, and nothing else holds a series |
//! | route | refused: an Observation has no places |
//! | clinical document | refused: it is a resource of its own, of its issuer's identity and release |
//! | vendor's notification | refused: it is no observation |
//!
//! Also refused: a deletion without a type in the shape `Resource`, which needs a code; numbers that are not finite; times
//! before the year 1; a voltage series without a frequency; an end before the start. Reasons hold no values.
//!
//! **Texts.** FHIR has neither empty texts, which are left out, nor control characters or white space other than space,
//! tab and line ends, which become spaces (Apple writes a no-break space in `Apple Watch`).
//!
//! **The same record gives the same bytes**: there is no `issued`, no now, no random. Offsets are those of the time zone
//! database at hand.

mod code;
mod effective;
mod encode;
mod measured;
mod observation;
mod provenance;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
mod text;

pub use self::encode::{FhirEncoder, Patient, Shape};

/// The system of identifiers: HealthKit's uuid of an object.
pub const IDENTIFIER_SYSTEM: &str = "https://developer.apple.com/documentation/healthkit/hkobject/uuid";

/// The system of Apple's codes, as HealthKitOnFHIR has it.
pub const APPLE_SYSTEM: &str = "http://developer.apple.com/documentation/healthkit";
