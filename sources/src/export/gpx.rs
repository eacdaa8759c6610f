//! Workout routes: GPX 1.1 as the export writes it, a `trkpt` for each place with its speed, course and accuracies as
//! extensions.

use std::io::{self, BufReader, Read};

use afferent_core::{
    Timestamp,
    record::{Location, Route},
};
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{beside::Unread, text::text};

/// Most places of a route that are read: more than a day with one a second. They take 9 MiB, and while they are written
/// some 400 bytes each.
const MAX_PLACES: usize = 100_000;

/// Longest file that is read: so many places take 25 MiB of it.
const MAX_BYTES: u64 = 32 << 20;

/// Longest stretch without a tag: places have some 30 bytes, names of routes a line.
const MAX_STRETCH: usize = 64 << 10;

/// Reads a route. The times of a GPX file are UTC, so they are exact whatever zone the phone was in.
///
/// # Errors
/// Why it can't be read, without any value of it. A place without a position or time is such a reason: what is left
/// would be another route.
pub(super) fn read_route(input: impl Read) -> Result<Route, Unread> {
    let mut input = Stretches { input: input.take(MAX_BYTES + 1), since: 0, too_long: false };
    let mut locations = Vec::new();
    let mut place: Option<Place> = None;
    let (mut field, mut content) = (None, String::new());
    let (mut is_gpx, mut has_ended, mut broken) = (false, false, None);
    {
        let mut reader = Reader::from_reader(BufReader::new(&mut input));
        let config = reader.config_mut();
        config.check_end_names = false;
        config.expand_empty_elements = true;
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            match reader.read_event_into(&mut buffer) {
                Ok(Event::Start(tag)) if tag.local_name().as_ref() == "trkpt" => {
                    if place.replace(Place::of(&tag)).is_some() {
                        return Err(Unread::Bad("a place of the route has no end".to_owned()));
                    }
                }
                Ok(Event::Start(tag)) => {
                    is_gpx |= tag.local_name().as_ref() == "gpx";
                    field = place.as_ref().and_then(|_| Field::of(tag.local_name().as_ref()));
                    content.clear();
                }
                Ok(Event::Text(part)) if field.is_some() => content.push_str(&part),
                Ok(Event::CData(part)) if field.is_some() => content.push_str(&part),
                Ok(Event::GeneralRef(part)) if field.is_some() => content += &text(&format!("&{};", &*part)),
                Ok(Event::End(tag)) => {
                    if let (Some(field), Some(place)) = (field.take(), &mut place) {
                        place.set(field, &content);
                    }
                    content.clear();
                    has_ended |= tag.local_name().as_ref() == "gpx";
                    if tag.local_name().as_ref() == "trkpt"
                        && let Some(place) = place.take()
                    {
                        if locations.len() == MAX_PLACES {
                            return Err(Unread::Bad(format!("the route has more than {MAX_PLACES} places")));
                        }
                        locations.push(place.finish()?);
                    }
                }
                Ok(Event::Eof) => break,
                Ok(_) => {}
                Err(quick_xml::Error::Io(error)) => {
                    broken = Some(match error.raw_os_error() {
                        Some(code) => Unread::Failed(io::Error::from_raw_os_error(code)),
                        None => Unread::Bad(format!("the file is damaged: {error}")),
                    });
                    break;
                }
                Err(_) => {
                    broken = Some(Unread::Bad("the file is no well-formed XML".to_owned()));
                    break;
                }
            }
        }
    }
    if input.input.limit() == 0 {
        return Err(Unread::Bad(format!("the file is longer than {} MiB", MAX_BYTES >> 20)));
    }
    if input.too_long {
        return Err(Unread::Bad(format!("the file has more than {} KiB without a tag", MAX_STRETCH >> 10)));
    }
    if let Some(broken) = broken {
        return Err(broken);
    }
    if !is_gpx {
        return Err(Unread::Bad("expected a GPX document, found something else".to_owned()));
    }
    if place.is_some() || !has_ended {
        return Err(Unread::Bad("the file is cut short: expected </gpx>".to_owned()));
    }
    locations.shrink_to_fit();
    Ok(Route { locations })
}

/// Ends the input where there is no tag for too long, because all that is between two tags is held.
struct Stretches<R> {
    input: R,
    since: usize,
    too_long: bool,
}

impl<R: Read> Read for Stretches<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.too_long {
            return Ok(0);
        }
        let count = self.input.read(out)?;
        let bytes = &out[..count];
        self.since = memchr::memrchr2(b'<', b'>', bytes).map_or(self.since + count, |last| count - last);
        self.too_long = self.since > MAX_STRETCH;
        Ok(count)
    }
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Time,
    Altitude,
    Speed,
    Course,
    HorizontalAccuracy,
    VerticalAccuracy,
}

impl Field {
    fn of(name: &str) -> Option<Field> {
        Some(match name {
            "time" => Field::Time,
            "ele" => Field::Altitude,
            "speed" => Field::Speed,
            "course" => Field::Course,
            "hAcc" => Field::HorizontalAccuracy,
            "vAcc" => Field::VerticalAccuracy,
            _ => return None,
        })
    }
}

/// A place that is being read.
#[derive(Debug, Default)]
struct Place {
    time: Option<Timestamp>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    numbers: [Option<f64>; 5],
    bad_number: bool,
}

impl Place {
    fn of(tag: &BytesStart<'_>) -> Place {
        let coordinate = |name: &str| {
            let attribute = tag.try_get_attribute(name).ok()??;
            number(&text(&attribute.value))
        };
        Place { latitude: coordinate("lat"), longitude: coordinate("lon"), ..Place::default() }
    }

    fn set(&mut self, field: Field, content: &str) {
        let content = content.trim();
        if let Field::Time = field {
            self.time = Timestamp::parse_rfc3339(content).map(|(time, _)| time);
            return;
        }
        let read = number(content);
        self.bad_number |= read.is_none();
        self.numbers[field as usize - 1] = read;
    }

    fn finish(self) -> Result<Location, Unread> {
        let bad = |what: &str| Unread::Bad(format!("a place of the route has no {what}"));
        if self.bad_number {
            return Err(Unread::Bad("a number of a place is none".to_owned()));
        }
        let [altitude, speed, course, horizontal_accuracy, vertical_accuracy] = self.numbers;
        Ok(Location {
            time: self.time.ok_or_else(|| bad("time of the form 2026-03-01T17:00:02Z"))?,
            latitude: self.latitude.ok_or_else(|| bad("latitude"))?,
            longitude: self.longitude.ok_or_else(|| bad("longitude"))?,
            altitude,
            speed,
            course,
            horizontal_accuracy,
            vertical_accuracy,
        })
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &str) -> String {
        match read_route(text.as_bytes()) {
            Err(Unread::Bad(reason)) => reason,
            _ => panic!("it was read"),
        }
    }

    /// Scenario: a route as the export writes it, one of another program, and damaged ones. Guarantees: G4, numbers and times
    /// are exact; G1 and G8, what can't be read whole is refused with a reason that says nothing of it.
    #[test]
    fn routes() {
        let text = "<?xml version=\"1.0\"?><gpx version=\"1.1\" xmlns=\"http://www.topografix.com/GPX/1/1\"><metadata>\
            <time>2019-11-07T03:43:52Z</time></metadata><trk><name>Route</name><trkseg>\n\
            <trkpt lon=\"-122.396397\" lat=\"37.781672\"><ele>4.076904</ele><time>2019-06-11T22:00:42Z</time>\
            <extensions><speed>0.180883</speed><course>206.252884</course><hAcc>8.063116</hAcc><vAcc>6.428697</vAcc></extensions></trkpt>\n\
            <trkpt lat=\"37.5\" lon=\"-122\"><time>2019-06-11T22:00:43.5Z</time></trkpt>\
            </trkseg></trk></gpx>";
        let Ok(route) = read_route(text.as_bytes()) else { panic!("it is a route") };
        let [first, second] = &route.locations[..] else { panic!("two places") };
        assert_eq!((first.latitude, first.longitude), (37.781672, -122.396397));
        assert_eq!(first.time.to_string(), "2019-06-11T22:00:42Z");
        assert_eq!(
            [first.altitude, first.speed, first.course, first.horizontal_accuracy, first.vertical_accuracy],
            [Some(4.076904), Some(0.180883), Some(206.252884), Some(8.063116), Some(6.428697)]
        );
        assert_eq!(
            (second.time.to_string().as_str(), second.altitude),
            ("2019-06-11T22:00:43.500000Z", None)
        );

        let Ok(empty) = read_route(&b"<gpx/>"[..]) else { panic!("it is a route") };
        assert_eq!(empty.locations, []);
        assert!(bad("{}").contains("GPX"));
        assert!(bad(&text.replace("</trkpt>", "")).contains("no end"));
        assert!(bad(&text[..text.rfind("</trk>").unwrap()]).contains("cut short"));
        assert!(bad(&text[..text.rfind("</trkpt>").unwrap()]).contains("cut short"));
        assert!(bad(&text.replace("lat=\"37.5\"", "lat=\"north\"")).contains("no latitude"));
        assert!(bad(&text.replace("2019-06-11T22:00:42Z", "yesterday")).contains("no time"));
        assert!(bad(&text.replace("4.076904", "high")).contains("a number"));
        assert!(!bad(&text.replace("4.076904", "high")).contains("high"));
        assert!(bad("<gpx><trkpt lat=\"1\"").contains("well-formed"));

        let parts = text.replace("4.076904", "4&#46;0<!-- x -->7<![CDATA[69]]>04");
        let Ok(parts) = read_route(parts.as_bytes()) else { panic!("it is a route") };
        assert_eq!(parts.locations[0].altitude, Some(4.076904), "a number in parts");
        assert!(bad(&text.replace("Route", &"x".repeat(MAX_STRETCH * 2))).contains("without a tag"));
        let place = "<trkpt lat=\"1\" lon=\"2\"><time>2026-03-01T17:00:02Z</time></trkpt>";
        let many = format!("<gpx>{}</gpx>", place.repeat(MAX_PLACES + 1));
        assert!(bad(&many).contains("more than 100000 places"));
        assert!(bad(&format!("<gpx>{}", "<x>long</x>".repeat(4 << 20))).contains("longer than 32 MiB"));
    }
}
