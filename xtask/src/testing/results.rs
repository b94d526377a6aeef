//! The results of tests, read from what `cargo test` prints.

use std::{collections::VecDeque, mem};

/// Lines of a failed test's output that are repeated at the end: its panic, without a backtrace. And
/// the last ones of a binary that ended without its results: what ended it.
const LINES_MAX: usize = 12;

/// Results of tests, and what failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    pub(super) failures: Vec<Failure>,
    /// The test binary that is running.
    binary: String,
    /// Its last lines, from when it said how many tests it runs until it has said what came of them.
    unfinished: Option<VecDeque<String>>,
    /// The failed test whose output is being printed.
    printing: Option<Failure>,
}

/// A test that failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    /// Test binary and test.
    pub(super) name: String,
    /// The beginning of its output.
    pub(super) output: Vec<String>,
}

impl Results {
    /// Adds a line that `cargo test` printed.
    pub(super) fn add(&mut self, line: &str) {
        let line = without_colours(line);
        let line = line.trim_end();
        if let Some(last) = &mut self.unfinished {
            last.push_back(line.to_owned());
            if last.len() > LINES_MAX {
                last.pop_front();
            }
        }
        // A program that a test runs by cargo is in backquotes.
        let running = line.trim_start().strip_prefix("Running ");
        if let Some(binary) = running.filter(|binary| !binary.starts_with('`')) {
            self.end();
            binary.clone_into(&mut self.binary);
        } else if let Some(crate_name) = line.trim_start().strip_prefix("Doc-tests ") {
            self.end();
            self.binary = format!("doc-tests of {crate_name}");
        } else if line.starts_with("running ") && self.unfinished.is_none() {
            self.unfinished = Some(VecDeque::new());
        } else if let Some(results) = line.strip_prefix("test result:") {
            self.unfinished = None;
            self.count(results);
        } else if let Some(test) = began_output(line) {
            self.end_output();
            self.printing = Some(Failure {
                name: format!("{}: {test}", self.binary),
                output: Vec::new(),
            });
        } else if line == "failures:" {
            self.end_output();
        } else if let Some(failure) = &mut self.printing
            && failure.output.len() < LINES_MAX
            && !line.is_empty()
        {
            failure.output.push(line.to_owned());
        }
    }

    /// Notes that all is printed. A binary that was killed, or ended itself because a test hangs, has
    /// said nothing of its tests.
    pub(super) fn end(&mut self) {
        let Some(last) = self.unfinished.take() else {
            return;
        };
        self.printing = None;
        self.failures.push(Failure {
            name: format!("{}: ended without its results", self.binary),
            output: last.into(),
        });
    }

    fn count(&mut self, results: &str) {
        let words: Vec<_> = results.split_whitespace().collect();
        for pair in words.windows(2) {
            let [number, what] = pair else { continue };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what.trim_end_matches(';') {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn end_output(&mut self) {
        self.failures.extend(mem::take(&mut self.printing));
    }
}

/// The test whose output begins with this line.
fn began_output(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// A line without what makes a terminal change colours.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let text = part.split_once('m').map_or(part, |(_, text)| text);
        plain.push_str(text);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up_in_any_colour() {
        let printed = "\
running 3 tests
test it ... ok
test result: \u{1b}[32mok\u{1b}[m. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out
test result: \u{1b}[31mFAILED\u{1b}[m. 4 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out
the test result: 5 passed;
";
        let mut results = Results::default();
        printed.lines().for_each(|line| results.add(line));
        let expected = Results {
            passed: 7,
            failed: 2,
            ignored: 1,
            ..Results::default()
        };
        assert_eq!(results, expected);
    }

    #[test]
    fn a_binary_that_ends_without_its_results_has_failed() {
        let printed = "\
     Running tests/it/main.rs (target/it-1)
running 2 tests
     Running `target/tmp/init/debug/made-service`
test quick ... ok

the test slow hangs: it is ended
error: test failed, to rerun pass `-p one --test it`
     Running tests/it/main.rs (target/it-2)
running 1 test
test quick ... ok
test result: ok. 1 passed; 0 failed
   Doc-tests two
running 1 test
error: test failed, to rerun pass `-p two --doc`
";
        let mut results = Results::default();
        printed.lines().for_each(|line| results.add(line));
        results.end();
        let failures: Vec<_> = results
            .failures
            .iter()
            .map(|failed| &*failed.name)
            .collect();
        let expected = [
            "tests/it/main.rs (target/it-1): ended without its results",
            "doc-tests of two: ended without its results",
        ];
        assert_eq!(failures, expected);
        let told = &results.failures[0].output;
        assert!(
            told.iter().any(|line| line.contains("slow hangs")),
            "{told:?}"
        );
        assert_eq!((results.passed, results.failed), (1, 0));
    }

    #[test]
    fn what_failed_is_kept_with_how_its_output_began() {
        let frames = "   1: main\n".repeat(2 * LINES_MAX);
        let printed = format!(
            "     Running tests/it/main.rs (target/debug/deps/it-0a1b)
test one ... FAILED

failures:

---- one stdout ----

thread 'one' panicked at it.rs:1:1:
not within 240s
{frames}
---- two::three stdout ----
no

failures:
    one
    two::three

test result: FAILED. 0 passed; 2 failed; 0 ignored
"
        );
        let mut results = Results::default();
        printed.lines().for_each(|line| results.add(line));
        let [one, two] = &results.failures[..] else {
            panic!("{results:?}")
        };
        let binary = "tests/it/main.rs (target/debug/deps/it-0a1b)";
        assert_eq!(one.name, format!("{binary}: one"));
        assert_eq!(one.output.len(), LINES_MAX);
        assert_eq!(one.output[1], "not within 240s");
        assert_eq!(two.name, format!("{binary}: two::three"));
        assert_eq!(two.output, ["no"]);
    }
}
