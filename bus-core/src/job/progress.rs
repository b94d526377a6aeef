//! How far a job is.

use crate::{
    codec::{self, ContentType},
    limits::PROGRESS_NOTE_BYTES_MAX,
};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// How far a job is, as its handler said last: [`Context::progress`](crate::Context::progress).
///
/// ```
/// use replybus::Progress;
///
/// let progress = Progress::new(30, 120, "posting entries");
/// assert_eq!(progress.fraction(), Some(0.25));
/// assert_eq!(progress.to_string(), "30 of 120, posting entries");
/// assert_eq!(Progress::new(30, None, "").to_string(), "30");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// What is done, in units of the handler's choice.
    pub done: u64,
    /// What there is to do, if that is known.
    #[serde(default)]
    pub total: Option<u64>,
    /// Words for people, up to [`PROGRESS_NOTE_BYTES_MAX`] bytes.
    #[serde(default, deserialize_with = "cut_off")]
    pub note: String,
}

/// A note as it may be: anybody can have written it.
fn cut_off<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Progress::new(0, None, String::deserialize(from)?).note)
}

impl Progress {
    /// So much is done of so much. A note that is too long is cut off.
    #[must_use]
    pub fn new(done: u64, total: impl Into<Option<u64>>, note: impl Into<String>) -> Self {
        let mut note = note.into();
        let end = PROGRESS_NOTE_BYTES_MAX.min(note.len());
        let end = (0..=end).rev().find(|at| note.is_char_boundary(*at));
        note.truncate(end.unwrap_or_default());
        Self {
            done,
            total: total.into(),
            note,
        }
    }

    /// The part that is done, from 0 to 1, if it is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a fraction for people")]
    pub fn fraction(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some((self.done as f64 / total as f64).min(1.0))
    }

    /// The form in which it is kept.
    pub(super) fn encode(&self) -> Bytes {
        codec::encode(ContentType::MessagePack, self, usize::MAX).unwrap_or_default()
    }

    /// Reads that form; `None` of what is none.
    pub(super) fn decode(noted: &[u8]) -> Option<Self> {
        codec::decode(ContentType::MessagePack, noted).ok()
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.done)?;
        if let Some(total) = self.total {
            write!(f, " of {total}")?;
        }
        if !self.note.is_empty() {
            write!(f, ", {}", self.note)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_back_what_it_writes() {
        for progress in [
            Progress::new(0, None, ""),
            Progress::new(u64::MAX, Some(u64::MAX), "ü".repeat(128)),
        ] {
            assert_eq!(Progress::decode(&progress.encode()), Some(progress));
        }
        assert_eq!(
            Progress::new(1, 2, "a").encode(),
            &b"\x83\xa4done\x01\xa5total\x02\xa4note\xa1a"[..]
        );
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let note = format!("a{}", "ü".repeat(200));
        let cut = Progress::new(1, None, note).note;
        assert_eq!(cut.len(), PROGRESS_NOTE_BYTES_MAX - 1);
        let told = format!(r#"{{"done":1,"note":"a{}"}}"#, "ü".repeat(200));
        let read: Progress = serde_json::from_str(&told).unwrap();
        assert_eq!(read.note, cut);
    }

    #[test]
    fn nothing_to_do_is_no_fraction_and_more_than_all_is_all() {
        assert_eq!(Progress::new(1, 0, "").fraction(), None);
        assert_eq!(Progress::new(3, 2, "").fraction(), Some(1.0));
    }

    proptest! {
        #[test]
        fn garbage_is_no_progress(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Progress::decode(&bytes);
        }
    }
}
