//! What happened in a simulation, step by step, and one number for all of it.

use std::{fmt, fmt::Write, time::Duration};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When, since the beginning.
    pub at: Duration,
    /// Where: the name of a process, or of a server.
    pub place: String,
    /// What, in words.
    pub what: String,
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, place, what } = self;
        write!(f, "{:>9.3} s  {place:<12} {what}", at.as_secs_f64())
    }
}

/// All that happened.
pub(crate) struct Trace {
    digest: Digest,
    kept: Option<Vec<Happened>>,
    steps: u64,
}

impl Trace {
    /// Keeps the text only where somebody is to read it.
    pub(crate) fn new(is_kept: bool) -> Self {
        Self {
            digest: Digest::default(),
            kept: is_kept.then(Vec::new),
            steps: 0,
        }
    }

    pub(crate) fn note(&mut self, at: Duration, place: &str, what: fmt::Arguments<'_>) {
        self.steps += 1;
        // Writing into a digest can't fail.
        let _ = writeln!(self.digest, "{} {place} {what}", at.as_millis());
        if let Some(kept) = &mut self.kept {
            kept.push(Happened {
                at,
                place: place.to_owned(),
                what: what.to_string(),
            });
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.0
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn into_happened(self) -> Vec<Happened> {
        self.kept.unwrap_or_default()
    }
}

/// FNV-1a, of 64 bits: the same on every machine, in every version.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_the_order_and_is_the_same_whether_text_is_kept() {
        let of = |order: [&str; 2], is_kept| {
            let mut trace = Trace::new(is_kept);
            for what in order {
                trace.note(Duration::ZERO, "shop", format_args!("{what}"));
            }
            trace.digest()
        };
        assert_eq!(of(["a", "b"], true), of(["a", "b"], false));
        assert_ne!(of(["a", "b"], true), of(["b", "a"], true));
    }
}
