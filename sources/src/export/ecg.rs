//! Electrocardiograms: the CSV files of the export.
//!
//! ```text
//! Name,Kim
//! Date of Birth,"20 May 1990"
//! Recorded Date,2026-03-01 09:12:13 +0100
//! Classification,Sinus Rhythm
//! Symptoms,
//! Software Version,1.90
//! Device,"Watch6,7"
//! Sample Rate,512.844 hertz
//!
//! Lead,Lead I
//! Unit,µV
//!
//! -48.673
//! ```
//!
//! The phone's language is that of the labels, of the classification and of the decimal sign (`-48,673`), so the rows
//! are told by their order after the one that holds the date. Name and date of birth are not read: a subject is
//! pseudonymous.

use afferent_core::{
    Name, Timestamp,
    record::{Device, Electrocardiogram},
};

use super::{beside::Unread, date};

/// Longest file that is read: a recording of 30 s has 130 KiB.
pub(super) const MAX_BYTES: u64 = 2 << 20;

/// Rows before the first voltage; exports have ten.
const MAX_HEAD_ROWS: usize = 32;

/// µV in the units that the export may give.
const UNITS: [(&str, f64); 4] = [("µV", 1.0), ("μV", 1.0), ("mV", 1e3), ("V", 1e6)];

/// What a file holds.
#[derive(Debug, PartialEq)]
pub(super) struct Recording {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) ecg: Electrocardiogram,
    pub(super) symptoms: Option<Name>,
    /// Version of the app that classified it.
    pub(super) version: Option<Name>,
    pub(super) device: Option<Device>,
    pub(super) lead: Option<Name>,
}

/// Reads a recording.
///
/// # Errors
/// Why it can't be read, without any value of it.
pub(super) fn read_recording(bytes: &[u8]) -> Result<Recording, Unread> {
    let bad = |reason: &str| Unread::Bad(reason.to_owned());
    let text = String::from_utf8_lossy(bytes);
    let mut lines =
        text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut rows, mut start, mut factor) = (Vec::new(), None, None);
    for line in lines.by_ref().take(MAX_HEAD_ROWS) {
        let value = line.split_once(',').map_or("", |(_, value)| value.trim().trim_matches('"'));
        match start {
            None => start = date::instant(value),
            Some(_) => {
                rows.push(value);
                factor = UNITS.iter().find(|(unit, _)| *unit == value).map(|(_, factor)| *factor);
                if factor.is_some() {
                    break;
                }
            }
        }
    }
    let start = start.ok_or_else(|| bad("expected the date of the recording in the head, found none"))?;
    // The unit is the last row of the head: whatever follows is a voltage.
    let factor = factor.ok_or_else(|| bad("expected a unit of µV, mV or V in the head, found none"))?;
    let [classification, symptoms, version, device, rate, tail @ ..] = &rows[..] else {
        return Err(bad(
            "expected classification, symptoms, version, device and sample rate, found fewer rows",
        ));
    };
    let rate = rate.split_whitespace().next().unwrap_or_default().replace(',', ".");
    let frequency = number(&rate).filter(|rate| *rate > 0.0);
    let frequency = frequency.ok_or_else(|| bad("the sample rate is no number"))?;
    let mut voltages = Vec::new();
    let mut sign = None;
    for line in lines {
        voltages.push(voltage(line, &mut sign).ok_or_else(|| bad("a voltage is no number"))?);
    }
    if voltages.is_empty() {
        return Err(bad("no voltage follows the head"));
    }
    if factor != 1.0 {
        voltages.iter_mut().for_each(|voltage| *voltage *= factor);
    }
    let present = |text: &str| (!text.is_empty()).then(|| Name::from(text));
    let micros = (voltages.len() as f64 / frequency * 1e6).round() as i64;
    Ok(Recording {
        start,
        end: start.plus_micros(micros),
        symptoms: present(symptoms),
        version: present(version),
        device: present(device).map(named),
        lead: tail
            .first()
            .filter(|lead| !UNITS.iter().any(|(unit, _)| unit == *lead))
            .and_then(|l| present(l)),
        ecg: Electrocardiogram {
            classification: present(classification),
            average_heart_rate: None,
            sampling_frequency: Some(frequency),
            voltages,
        },
    })
}

/// A device by its hardware (`Watch6,7`) or by another name.
fn named(name: Name) -> Device {
    let is_hardware = name.as_str().split_once(',').is_some_and(|(family, number)| {
        family.ends_with(|last: char| last.is_ascii_digit())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    if is_hardware {
        Device { hardware: Some(name), ..Device::default() }
    } else {
        Device { name: Some(name), ..Device::default() }
    }
}

/// A line that is a number. `sign` is the decimal sign of the lines before: the phone writes one, and no sign between
/// thousands, so a line with the other one is none.
fn voltage(line: &str, sign: &mut Option<char>) -> Option<f64> {
    // The minus of some languages.
    let line = line.trim_end_matches(',').trim_matches('"').replace('\u{2212}', "-");
    if let Some(found) = line.chars().find(|c| matches!(c, '.' | ','))
        && *sign.get_or_insert(found) != found
    {
        return None;
    }
    number(&line.replace(',', "."))
}

/// A finite number in digits: not `nan` or `inf`, which are numbers to Rust.
fn number(text: &str) -> Option<f64> {
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    text.parse().ok().filter(|number: &f64| text.chars().all(digits) && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "Name,Kim\nDate of Birth,\"20 May 1990\"\nRecorded Date,2026-03-01 09:12:13 +0100\n\
        Classification,Sinus Rhythm\nSymptoms,\nSoftware Version,1.90\nDevice,\"Watch6,7\"\nSample Rate,2 hertz\n\n\n\
        Lead,Lead I\nUnit,µV\n\n-48.673\n59.5\n12\n";

    fn bad(text: &str) -> String {
        match read_recording(text.as_bytes()) {
            Err(Unread::Bad(reason)) => reason,
            _ => panic!("it was read"),
        }
    }

    /// Scenario: a recording in English, the same in German with commas, and damaged ones. Guarantees: G4, both are the same;
    /// name and date of birth are in neither; G8, a reason says nothing of what was measured.
    #[test]
    fn recordings() {
        let Ok(english) = read_recording(ENGLISH.as_bytes()) else { panic!("it is a recording") };
        assert_eq!(english.start.to_string(), "2026-03-01T08:12:13Z");
        assert_eq!(english.end, english.start.plus_micros(1_500_000));
        assert_eq!(english.ecg.voltages, [-48.673, 59.5, 12.0]);
        assert_eq!(english.ecg.sampling_frequency, Some(2.0));
        assert_eq!(english.ecg.classification.as_deref(), Some("Sinus Rhythm"));
        assert_eq!(english.device.as_ref().unwrap().hardware.as_deref(), Some("Watch6,7"));
        assert_eq!((english.symptoms.as_deref(), english.lead.as_deref()), (None, Some("Lead I")));
        assert!(!format!("{english:?}").contains("Kim") && !format!("{english:?}").contains("1990"));

        let german = "\u{feff}Name,Kim\r\nGeburtsdatum,20.05.1990\r\nAufzeichnungsdatum,2026-03-01 09:12:13 +0100\r\n\
            Klassifizierung,Sinus Rhythm\r\nSymptome,\r\nSoftwareversion,\"1.90\"\r\nGerät,\"Watch6,7\"\r\nMessrate,2 Hertz\r\n\r\n\
            Ableitung,Lead I\r\nEinheit,µV\r\n\r\n-48,673\r\n59,5\r\n12\r\n";
        let Ok(german) = read_recording(german.as_bytes()) else { panic!("it is a recording") };
        assert_eq!(german, english);

        assert!(bad("").contains("date"));
        assert!(bad("a,b\n1\n2\n").contains("date"));
        assert!(bad(&ENGLISH.replace("2 hertz", "fast")).contains("sample rate"));
        assert!(bad(&ENGLISH.replace("µV", "bpm")).contains("unit"));
        assert!(bad(&ENGLISH.replace("59.5", "high")).contains("no number"));
        assert!(!bad(&ENGLISH.replace("59.5", "high")).contains("high"));
        assert!(bad(&ENGLISH.replace("-48.673\n59.5\n12\n", "")).contains("no voltage"));
        assert!(bad(&"a,b\n".repeat(1000)).contains("date"));
        assert!(bad(&ENGLISH.replace("Unit,µV\n", "")).contains("unit"));
        assert!(bad(&ENGLISH.replace("-48.673", "junk")).contains("no number"), "also the first");
        assert!(bad(&ENGLISH.replace("-48.673", "-1,234.5")).contains("no number"), "thousands");
        assert!(
            bad(&ENGLISH.replace("-48.673", "-1,300")).contains("no number"),
            "another sign than the rest"
        );
        let Ok(minus) = read_recording(ENGLISH.replace("-48.673", "\u{2212}48.673").as_bytes()) else {
            panic!("it is a recording")
        };
        assert_eq!(minus, english);
    }
}
