//! Documents that no conforming XML parser accepts, as exports are or may be found.

/// The document in `whole` with each kind of damage, and what the damage is. What can be compared is the same in all.
pub(crate) fn damaged(whole: &str) -> Vec<(&'static str, String)> {
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "the document has {from:?}");
        whole.replacen(from, to, 1)
    };
    vec![
        // iOS 16.0 wrote the first two.
        (
            "a declaration of the DTD that is not closed",
            with("  sourceName    CDATA #REQUIRED\n>\n", "  sourceName    CDATA #REQUIRED\n"),
        ),
        (
            "startDate twice, in place of endDate, in statistics",
            with(
                "endDate=\"2025-03-01 18:38:31 +0100\" sum=",
                "startDate=\"2025-03-01 18:38:31 +0100\" sum=",
            ),
        ),
        (
            "startDate twice, in place of endDate, in a record",
            with("endDate=\"2025-03-01 08:02:58 +0100\"", "startDate=\"2025-03-01 08:02:58 +0100\""),
        ),
        ("a value twice", with("value=\"612\"", "value=\"612\" value=\"613\"")),
        ("a control character in the value of metadata", with("Breakfast", "Break\x0bfast")),
        (
            "a control character in the name of a source",
            with("sourceName=\"Scale\"", "sourceName=\"\x0bScale\""),
        ),
        ("a control character between records", with("\n <!-- Numbers", "\n\x0b <!-- Numbers")),
        ("a reference to a control character", with("sourceName=\"Scale\"", "sourceName=\"Scale&#11;\"")),
        ("an ampersand that is not escaped", with("Tom &amp; Ada", "Tom & Ada")),
        (
            "an element with a prefix that is not declared",
            with("\n <!-- Equal", "\n <hk:Novelty of=\"1\"><hk:Part/></hk:Novelty>\n <!-- Equal"),
        ),
        ("a line before the XML declaration", with("<?xml", "\n<?xml")),
        ("a second root", with("</HealthData>", "</HealthData>\n<HealthData/>")),
    ]
}
