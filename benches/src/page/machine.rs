//! The machine that something is measured on.

use std::{fs, num::NonZero, thread};

/// How many processors of which kind, and the system.
#[must_use]
pub fn name() -> String {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model_in(&about).unwrap_or("of an unknown kind");
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{processors} processors ({model}), Linux {}", system.trim())
}

/// How many processes wanted a processor in the last minute, on average.
#[must_use]
pub fn load() -> String {
    let average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let minute = average.split_ascii_whitespace().next();
    minute.unwrap_or("unknown").to_owned()
}

fn model_in(about: &str) -> Option<&str> {
    let line = about.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found() {
        let about = "processor\t: 0\nmodel name\t: A 1 @ 2 GHz\nprocessor\t: 1\n";
        assert_eq!(model_in(about), Some("A 1 @ 2 GHz"));
        assert_eq!(model_in(""), None);
    }
}
