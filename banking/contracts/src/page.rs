//! Long lists, a page at a time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Characters that can be searched for. No name and no number is longer.
pub const SEARCH_CHARS_MAX: usize = 100;

/// A page to read: `page` counts from 1, `size` is 1 to [`PageRequest::SIZE_MAX`]. What is out of
/// bounds is brought into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "Numbers")]
pub struct PageRequest {
    page: u32,
    size: u32,
}

/// As they come.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Numbers {
    page: u32,
    size: u32,
}

impl From<Numbers> for PageRequest {
    fn from(numbers: Numbers) -> Self {
        Self::new(numbers.page, numbers.size)
    }
}

impl PageRequest {
    /// The largest page.
    pub const SIZE_MAX: u32 = 100;

    /// The size of a page that names none.
    pub const SIZE: u32 = 20;

    /// The deepest page.
    pub const PAGE_MAX: u32 = 1_000_000;

    /// That page.
    #[must_use]
    pub fn new(page: u32, size: u32) -> Self {
        Self {
            page: page.clamp(1, Self::PAGE_MAX),
            size: size.clamp(1, Self::SIZE_MAX),
        }
    }

    /// Entries on a page, for `LIMIT`.
    #[must_use]
    pub fn limit(self) -> i64 {
        i64::from(self.size)
    }

    /// Entries before it, for `OFFSET`.
    #[must_use]
    pub fn offset(self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.size)
    }

    /// This page of a list, with its `items` read.
    #[must_use]
    pub fn of<T>(self, total: u64, items: Vec<T>) -> Page<T> {
        Page {
            items,
            total,
            page: self.page,
            size: self.size,
            pages: total.div_ceil(u64::from(self.size)),
        }
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::new(1, Self::SIZE)
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Entries of the whole list.
    pub total: u64,
    /// Its number, from 1.
    pub page: u32,
    /// Entries on a full page.
    pub size: u32,
    /// Pages of the whole list.
    pub pages: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_always_one_that_can_be_read() {
        let asked = serde_json::from_str::<PageRequest>(r#"{"page":0,"size":4294967295}"#);
        let asked = asked.unwrap();
        assert_eq!((asked.limit(), asked.offset()), (100, 0));
        let deepest = PageRequest::new(u32::MAX, u32::MAX);
        assert_eq!(deepest.offset(), 99_999_900);
    }

    #[test]
    fn the_last_page_counts_though_it_is_not_full() {
        let page = PageRequest::new(1, 20);
        let pages = [0, 1, 20, 21].map(|total| page.of(total, Vec::<()>::new()).pages);
        assert_eq!(pages, [0, 1, 1, 2]);
    }
}
