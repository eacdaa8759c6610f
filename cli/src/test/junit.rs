//! Results as JUnit XML, in the form that build servers read: a suite for each pipeline, a case for each test.

use std::fmt::Write;

use super::Outcome;

/// The document.
pub(super) fn report(outcomes: &[Outcome]) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    let mut rest = outcomes;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|outcome| outcome.pipeline == first.pipeline).count();
        let (suite, others) = rest.split_at(count);
        write_suite(&mut xml, &first.pipeline, suite);
        rest = others;
    }
    xml + "</testsuites>\n"
}

fn write_suite(xml: &mut String, pipeline: &str, outcomes: &[Outcome]) {
    let failures = outcomes.iter().filter(|outcome| !outcome.failure.is_empty()).count();
    let (name, tests) = (escaped(pipeline), outcomes.len());
    // A string takes all.
    let _ = writeln!(xml, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">");
    for outcome in outcomes {
        let case = escaped(&outcome.name);
        if outcome.failure.is_empty() {
            let _ = writeln!(xml, "    <testcase classname=\"{name}\" name=\"{case}\"/>");
            continue;
        }
        let diff = escaped(&outcome.failure.join("\n"));
        let _ = writeln!(
            xml,
            "    <testcase classname=\"{name}\" name=\"{case}\">\n      <failure message=\"something else came out\">{diff}</failure>\n    </testcase>"
        );
    }
    xml.push_str("  </testsuite>\n");
}

/// Text as XML carries it; characters that it can't carry are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: tests of two pipelines, one of them failed, with characters that XML has a meaning for. Guarantees: a build server
    /// reads which failed and why.
    #[test]
    fn a_report_is_xml() {
        let outcome = |pipeline: &str, name: &str, failure: &[&str]| Outcome {
            pipeline: pipeline.to_owned(),
            name: name.to_owned(),
            failure: failure.iter().map(|line| (*line).to_owned()).collect(),
        };
        let report = report(&[
            outcome("a", "one", &[]),
            outcome("a", "a < \"b\"\u{1}", &["- {\"x\":1}", "+ <&>"]),
            outcome("b", "two", &[]),
        ]);
        assert_eq!(
            report,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
             <testsuite name=\"a\" tests=\"2\" failures=\"1\">\n    \
             <testcase classname=\"a\" name=\"one\"/>\n    \
             <testcase classname=\"a\" name=\"a &lt; &quot;b&quot;\u{fffd}\">\n      \
             <failure message=\"something else came out\">- {&quot;x&quot;:1}\n+ &lt;&amp;&gt;</failure>\n    \
             </testcase>\n  </testsuite>\n  <testsuite name=\"b\" tests=\"1\" failures=\"0\">\n    \
             <testcase classname=\"b\" name=\"two\"/>\n  </testsuite>\n</testsuites>\n"
        );
    }
}
