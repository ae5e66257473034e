//! `archive check` as text.

use crate::readiness::{Finding, Verdict};
use crate::wording;

/// What was found, a line each, with what to do below it where there is something.
pub fn check(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { part, verdict, found, fix } in findings {
        let mark = match verdict {
            Verdict::Pass => "✓ ok  ",
            Verdict::Warn => "! warn",
            Verdict::Fail => "✗ FAIL",
        };
        // What several mistakes say, each on a line of its own, stays below each other.
        let found = found.replace('\n', "\n                 ");
        text.push_str(&format!("{mark} {:<9} {found}\n", part.as_str()));
        if let Some(fix) = fix {
            text.push_str(&format!("       {:<9} → {fix}\n", ""));
        }
    }
    let count = |wanted| findings.iter().filter(|finding| finding.verdict == wanted).count() as u64;
    let outcome = match (count(Verdict::Fail), count(Verdict::Warn)) {
        (0, 0) => "ready: nothing is in the way of a run".to_owned(),
        (0, warned) => format!("ready; {} to look at", wording::count(warned, "thing")),
        (failed, _) => format!("not ready: {} in the way of a run", wording::count(failed, "thing")),
    };
    text.push_str(&format!("{outcome}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Part;

    #[test]
    fn each_finding_says_in_a_word_what_it_is_and_what_to_do() {
        let findings = [
            Finding::pass(Part::Settings, "jobs.toml: 1 job"),
            Finding::warn(Part::Clock, "9 s behind").fix("set it"),
            Finding::fail(Part::Secret, "one\ntwo"),
        ];
        let expected = "✓ ok   settings  jobs.toml: 1 job\n\
                        ! warn clock     9 s behind\n                 → set it\n\
                        ✗ FAIL secret    one\n                 two\n\
                        not ready: 1 thing in the way of a run\n";
        assert_eq!(check(&findings), expected);
    }
}
