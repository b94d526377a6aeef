//! The frames that a producer keeps until its reader has taken them.

use bytes::Bytes;
use std::collections::VecDeque;

/// Frames in their order: those that were written, then those that are to be.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    frames: VecDeque<Kept>,
    /// How many of them were written.
    written: usize,
    bytes: usize,
    /// The number of the next item.
    next: u64,
    window: usize,
    frames_max: usize,
}

#[derive(Debug)]
struct Kept {
    /// The number behind that of its last item.
    end: u64,
    frame: Bytes,
    bytes: usize,
}

impl Unacknowledged {
    pub(super) fn new(window: usize, frames_max: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            written: 0,
            bytes: 0,
            next: 0,
            window,
            frames_max,
        }
    }

    /// The number of the next item.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes that the next frame may have; none before the reader takes something. No frame takes more
    /// than a quarter of the window, so that some are on their way while one is read.
    pub(super) fn room(&self) -> usize {
        if self.frames.len() >= self.frames_max {
            return 0;
        }
        let left = self.window.saturating_sub(self.bytes);
        left.min(self.window.div_ceil(4))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Keeps a frame of `count` items, to be written. It counts as so many bytes: its signature, which
    /// its reader does not give credit for, is none of them.
    pub(super) fn push(&mut self, frame: Bytes, bytes: usize, count: u64) {
        self.next = self.next.saturating_add(count);
        self.bytes += bytes;
        self.frames.push_back(Kept {
            end: self.next,
            frame,
            bytes,
        });
    }

    /// The next frame to be written.
    pub(super) fn unwritten(&self) -> Option<&Bytes> {
        self.frames.get(self.written).map(|kept| &kept.frame)
    }

    /// Says that it was written.
    pub(super) fn wrote(&mut self) {
        self.written += 1;
    }

    /// Has all frames written again.
    pub(super) fn again(&mut self) {
        self.written = 0;
    }

    /// Lets go of what the reader has taken: all below the number `taken`. What was not sent can't
    /// have been taken, and whoever says so is not heard.
    pub(super) fn acknowledge(&mut self, taken: u64) {
        if taken > self.next {
            return;
        }
        while self.frames.front().is_some_and(|kept| kept.end <= taken) {
            let bytes = self.frames.pop_front().map_or(0, |kept| kept.bytes);
            self.bytes = self.bytes.saturating_sub(bytes);
            self.written = self.written.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn frame(bytes: usize) -> Bytes {
        vec![7; bytes].into()
    }

    #[test]
    fn what_is_not_taken_is_bounded_in_bytes_and_frames() {
        let mut kept = Unacknowledged::new(100, 3);
        assert_eq!(kept.room(), 25);
        kept.push(frame(80), 80, 7);
        assert_eq!((kept.room(), kept.next()), (20, 7));
        kept.push(frame(40), 40, 4);
        assert_eq!(kept.room(), 0);
        kept.acknowledge(6);
        assert_eq!(kept.room(), 0);
        kept.acknowledge(7);
        assert_eq!(kept.room(), 25);
        for _ in 0..2 {
            kept.push(frame(1), 1, 1);
        }
        assert_eq!(kept.room(), 0);
        kept.acknowledge(13);
        assert!(kept.is_empty());
        assert_eq!(kept.room(), 25);
    }

    #[test]
    fn what_was_not_sent_can_not_have_been_taken() {
        let mut kept = Unacknowledged::new(100, 3);
        kept.push(frame(10), 10, 2);
        kept.acknowledge(3);
        kept.acknowledge(u64::MAX);
        assert_eq!(kept.unwritten(), Some(&frame(10)));
    }

    proptest! {
        /// Whatever is lost on the way, asked for again and taken, the reader gets all, in order.
        #[test]
        fn what_is_asked_for_again_comes_in_order(steps in vec((0..4_u8, any::<bool>()), 0..200)) {
            let mut kept = Unacknowledged::new(100, 8);
            let mut sent = 0_u64;
            let mut log = Vec::new();
            for (step, is_lost) in steps {
                match step {
                    0 if sent < 255 && kept.room() > 0 => {
                        kept.push(vec![u8::try_from(sent).unwrap(); 20].into(), 20, 1);
                        sent += 1;
                    }
                    1 => {
                        if let Some(frame) = kept.unwritten() {
                            let number = u64::from(frame[0]);
                            if !is_lost && number == u64::try_from(log.len()).unwrap() {
                                log.push(number);
                            }
                            kept.wrote();
                        }
                    }
                    2 => kept.acknowledge(u64::try_from(log.len()).unwrap()),
                    _ => kept.again(),
                }
                prop_assert!(kept.room() <= 100);
            }
            kept.again();
            kept.acknowledge(u64::try_from(log.len()).unwrap());
            while let Some(frame) = kept.unwritten() {
                log.push(u64::from(frame[0]));
                kept.wrote();
            }
            prop_assert!(log.into_iter().eq(0..sent));
        }
    }
}
