//! The pauses between attempts at something that is not ready yet.

use std::time::Duration;

/// Growing pauses: each is twice as long as the one before, up to the longest.
#[derive(Debug, Clone)]
pub(crate) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub(crate) const fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            next: shortest,
            longest,
        }
    }

    /// The pause to make before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let milliseconds = Duration::from_millis;
        let mut pauses = Pauses::new(milliseconds(5), milliseconds(30));
        let first: Vec<Duration> = (0..5).map(|_| pauses.next()).collect();
        assert_eq!(first, [5, 10, 20, 30, 30].map(milliseconds));
    }
}
