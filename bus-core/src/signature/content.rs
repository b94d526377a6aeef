//! What is signed: fields one behind the other, each behind its length, so that no two messages are
//! the same bytes.

/// The bytes that a signature is over.
pub(super) struct Content(Vec<u8>);

/// The length of a field that is absent, which is not the same as empty.
const ABSENT: u32 = u32::MAX;

impl Content {
    /// Begins with what kind of message it is, and of which version: what is signed as one is not
    /// taken for another.
    pub(super) fn of(kind: &str, bytes: usize) -> Self {
        let mut content = Self(Vec::with_capacity(bytes + 512));
        content.field(kind.as_bytes());
        content
    }

    pub(super) fn field(&mut self, field: &[u8]) {
        // Messages are far smaller, see `limits`; one that is not has no signature that is good.
        let length = u32::try_from(field.len()).unwrap_or(ABSENT);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
    }

    pub(super) fn optional(&mut self, field: Option<&str>) {
        match field {
            Some(field) => self.field(field.as_bytes()),
            None => self.0.extend_from_slice(&ABSENT.to_be_bytes()),
        }
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
