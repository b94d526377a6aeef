//! The headers of a message that are text. Most messages have one, or none.

use super::Text;
use std::{
    fmt, mem,
    ops::{Deref, DerefMut},
    slice, vec,
};

/// Headers as pairs of name and text, in the order they were set. It reads like a slice of them, and
/// a single one takes no memory of its own.
///
/// ```
/// use replybus::message::Headers;
///
/// let mut headers = Headers::from([("tenant".into(), "7".into())]);
/// headers.push(("region".into(), "north".into()));
/// let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
/// assert_eq!(names, ["tenant", "region"]);
/// ```
#[derive(Clone, Default)]
pub struct Headers(Kept);

#[derive(Clone, Default)]
enum Kept {
    #[default]
    None,
    One([(Text, Text); 1]),
    Many(Vec<(Text, Text)>),
}

impl Headers {
    /// Adds one behind the others, also if there is one of its name.
    pub fn push(&mut self, header: (Text, Text)) {
        self.0 = match mem::take(&mut self.0) {
            Kept::None => Kept::One([header]),
            Kept::One([first]) => {
                let mut headers = Vec::with_capacity(4);
                headers.extend([first, header]);
                Kept::Many(headers)
            }
            Kept::Many(mut headers) => {
                headers.push(header);
                Kept::Many(headers)
            }
        };
    }

    /// Keeps those that `keep` is true of.
    pub fn retain(&mut self, mut keep: impl FnMut(&(Text, Text)) -> bool) {
        match &mut self.0 {
            Kept::None => {}
            Kept::One([header]) if keep(header) => {}
            Kept::One(_) => self.0 = Kept::None,
            Kept::Many(headers) => headers.retain(keep),
        }
    }
}

impl Deref for Headers {
    type Target = [(Text, Text)];

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Kept::None => &[],
            Kept::One(header) => header,
            Kept::Many(headers) => headers,
        }
    }
}

impl DerefMut for Headers {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match &mut self.0 {
            Kept::None => &mut [],
            Kept::One(header) => header,
            Kept::Many(headers) => headers,
        }
    }
}

impl Eq for Headers {}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

// A value can be a token.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Extend<(Text, Text)> for Headers {
    fn extend<I: IntoIterator<Item = (Text, Text)>>(&mut self, headers: I) {
        for header in headers {
            self.push(header);
        }
    }
}

impl FromIterator<(Text, Text)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Text, Text)>>(headers: I) -> Self {
        let mut all = Self::default();
        all.extend(headers);
        all
    }
}

impl<const N: usize> From<[(Text, Text); N]> for Headers {
    fn from(headers: [(Text, Text); N]) -> Self {
        headers.into_iter().collect()
    }
}

impl From<Vec<(Text, Text)>> for Headers {
    fn from(headers: Vec<(Text, Text)>) -> Self {
        Self(Kept::Many(headers))
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a (Text, Text);
    type IntoIter = slice::Iter<'a, (Text, Text)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Headers {
    type Item = &'a mut (Text, Text);
    type IntoIter = slice::IterMut<'a, (Text, Text)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl IntoIterator for Headers {
    type Item = (Text, Text);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        let (one, many) = match self.0 {
            Kept::None => (None, Vec::new()),
            Kept::One([header]) => (Some(header), Vec::new()),
            Kept::Many(headers) => (None, headers),
        };
        IntoIter {
            one,
            many: many.into_iter(),
        }
    }
}

/// Headers that are taken out of their message one after the other.
pub struct IntoIter {
    one: Option<(Text, Text)>,
    many: vec::IntoIter<(Text, Text)>,
}

impl Iterator for IntoIter {
    type Item = (Text, Text);

    fn next(&mut self) -> Option<(Text, Text)> {
        self.one.take().or_else(|| self.many.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.one.is_some()) + self.many.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for IntoIter {}

// As of the headers.
impl fmt::Debug for IntoIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.one.iter().chain(self.many.as_slice());
        f.debug_list().entries(left.map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(number: usize) -> (Text, Text) {
        (format!("h{number}").into(), Text::shown(number))
    }

    #[test]
    fn however_many_there_are_they_are_a_list() {
        for count in 0..6 {
            let list: Vec<_> = (0..count).map(header).collect();
            let mut headers: Headers = list.iter().cloned().collect();
            assert_eq!(*headers, *list);
            assert_eq!(headers, Headers::from(list.clone()));
            assert_eq!((&headers).into_iter().count(), count);
            assert_eq!(headers.clone().into_iter().len(), count);
            assert_eq!(headers.clone().into_iter().collect::<Vec<_>>(), list);
            for (_, value) in &mut headers {
                *value = "secret".into();
            }
            assert!(headers.iter().all(|(_, value)| value == "secret"));
            let shown = format!("{headers:?} {:?}", headers.clone().into_iter());
            assert!(!shown.contains("secret"), "{shown}");
            assert_eq!(shown.matches("h0").count(), if count > 0 { 2 } else { 0 });
            // The even ones stay, in their order; then none.
            let mut number = 0;
            headers.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            let names: Vec<_> = headers.iter().map(|(name, _)| name.to_string()).collect();
            let even = (0..count).step_by(2).map(|number| format!("h{number}"));
            assert_eq!(names, even.collect::<Vec<_>>());
            headers.retain(|_| false);
            assert!(headers.is_empty());
        }
    }
}
