//! What an instance says of itself, and what is made of that by whoever reads it.

use super::InstanceId;
use crate::{
    codec::{self, ContentType},
    limits::{INSTANCE_METHODS_MAX, INSTANCE_TEXT_MAX, PRESENCE_RECORD_BYTES_MAX},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::SystemTime};

/// An instance of a service, by its own word: one `serve` of one process.
///
/// It is as true as the store it was read from: whoever may write there can say anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The trait that it serves.
    pub service: String,
    /// The version that it was given when it was [served](crate::server::Serve::version).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The program, as it names itself to services (`app_id`).
    pub program: String,
    /// The machine or container it runs on; empty if that does not say.
    pub host: String,
    /// The number of its process there.
    pub process: u32,
    /// Its methods, each with its [fingerprint](crate::contract::Fingerprint), as text: where two
    /// instances differ in one of the same kind, one is of another contract.
    pub methods: BTreeMap<String, String>,
    /// The [partitions](crate::partition) of its contract, if it has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u16>,
    /// When it was served, by the clock of its machine.
    #[serde(with = "millis")]
    pub started_at: SystemTime,
    /// Deliveries that it worked on when it was last announced.
    pub in_flight: u64,
    /// It takes no more, and ends what it has.
    #[serde(default)]
    pub draining: bool,
}

impl Instance {
    /// The record of it. Methods that would make it too large are left out.
    pub(super) fn record(&self) -> Bytes {
        let encode = |of: &Self| codec::encode(ContentType::Json, of, PRESENCE_RECORD_BYTES_MAX);
        encode(self).unwrap_or_else(|_| {
            let methods = BTreeMap::new();
            let shorter = Self {
                methods,
                ..self.clone()
            };
            // The rest is bounded by what it is made of.
            encode(&shorter).unwrap_or_default()
        })
    }

    /// The instance of a record; `None` if it is none, or larger than any that we write.
    pub(crate) fn read(record: &[u8]) -> Option<Self> {
        if record.len() > PRESENCE_RECORD_BYTES_MAX {
            return None;
        }
        let read: Self = codec::decode(ContentType::Json, record).ok()?;
        read.is_sound().then_some(read)
    }

    /// `true` if it can be shown to people as it is.
    pub(crate) fn is_sound(&self) -> bool {
        let methods = self.methods.iter();
        let texts = [&self.service, &self.program, &self.host];
        let texts = texts.into_iter().chain(&self.version);
        self.methods.len() <= INSTANCE_METHODS_MAX
            && texts
                .chain(methods.flat_map(|(name, print)| [name, print]))
                .all(|text| is_shown(text))
    }
}

/// `true` of a text that can be shown to people as it is.
pub(crate) fn is_shown(text: &str) -> bool {
    text.len() <= INSTANCE_TEXT_MAX && !text.contains(char::is_control)
}

/// A moment as milliseconds since the Unix epoch.
pub(crate) mod millis {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    pub(crate) fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis())
            .unwrap_or(u64::MAX)
            .serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let since = Duration::from_millis(u64::deserialize(from)?);
        let at = UNIX_EPOCH.checked_add(since);
        at.ok_or_else(|| D::Error::custom("a moment that no clock shows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn instance() -> Instance {
        Instance {
            id: InstanceId::new(),
            service: "Accounts".into(),
            version: None,
            program: "bank".into(),
            host: "vienna-1".into(),
            process: 17,
            methods: [("balance".to_owned(), "0011223344556677".to_owned())].into(),
            partitions: None,
            started_at: UNIX_EPOCH + Duration::from_millis(1_234),
            in_flight: 3,
            draining: false,
        }
    }

    #[test]
    fn reads_back_what_it_says() {
        let (plain, mut released, mut divided) = (instance(), instance(), instance());
        released.version = Some("1.2.3".into());
        divided.partitions = Some(16);
        for instance in [plain, released, divided] {
            assert_eq!(Instance::read(&instance.record()), Some(instance));
        }
    }

    #[test]
    fn what_is_no_record_or_can_not_be_shown_is_none() {
        let good = instance().record();
        let text = String::from_utf8(good.to_vec()).unwrap();
        let with = |from: &str, to: &str| text.replace(from, to).into_bytes();
        assert!(Instance::read(text.as_bytes()).is_some());
        assert!(Instance::read(&with("\"in_flight\":3", "\"in_flight\":3,\"new\":[1]")).is_some());
        let long = format!("\"{}\"", "x".repeat(INSTANCE_TEXT_MAX + 1));
        for bad in [
            Vec::new(),
            b"[]".to_vec(),
            text.as_bytes()[1..].to_vec(),
            with("\"vienna-1\"", "\"\\u001b[2J\""),
            with("\"vienna-1\"", &long),
            with("\"in_flight\":3", "\"in_flight\":-3"),
            with("1234,", "18446744073709551616,"),
            [text.as_bytes(), &vec![b' '; PRESENCE_RECORD_BYTES_MAX]].concat(),
        ] {
            assert_eq!(Instance::read(&bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_contract_of_many_methods_leaves_them_out() {
        let mut large = instance();
        for method in 0..100_000 {
            large.methods.insert(method.to_string(), "0".repeat(16));
        }
        let read = Instance::read(&large.record()).unwrap();
        assert_eq!((read.id, read.methods.len()), (large.id, 0));
    }
}
