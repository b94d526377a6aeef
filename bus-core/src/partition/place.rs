//! The place of a call: its key, its partition, and how a message says both.

use crate::{
    error::{Fault, FaultCode},
    limits::PARTITIONS_MAX,
    message::{Message, Properties, Text},
    wire::headers,
};

/// The key of a call, by its hash, among so many partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: u32,
    pub(crate) partitions: u16,
}

impl Place {
    /// The partition, counted from 0.
    pub(crate) fn partition(self) -> u16 {
        let partition = self.key % u32::from(self.partitions.max(1));
        u16::try_from(partition).unwrap_or_default()
    }

    /// As a header says it: the hash, and by how many it is divided.
    pub(crate) fn header(self) -> Text {
        Text::shown(format_args!("{}/{}", self.key, self.partitions))
    }

    /// The place that a message says it has; `None` if it says none.
    pub(crate) fn of(properties: &Properties) -> Option<Self> {
        properties.header(headers::PARTITION).and_then(Self::read)
    }

    /// The place that a header says; `None` if it says none.
    pub(crate) fn read(header: &str) -> Option<Self> {
        let (key, partitions) = header.split_once('/')?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(key) || !is_number(partitions) {
            return None;
        }
        let partitions = partitions.parse().ok()?;
        let place = Self {
            key: key.parse().ok()?,
            partitions,
        };
        (1..=PARTITIONS_MAX).contains(&partitions).then_some(place)
    }
}

/// Why a message that came to a partition is not to be run: it would be out of its order.
pub(crate) fn refusal(message: &Message, partition: u16, partitions: u16) -> Option<Fault> {
    let said = match Place::of(&message.properties) {
        None => "its header says no key".to_owned(),
        Some(place) if place.partitions != partitions => format!(
            "its caller divides the calls by {}, the service by {partitions}",
            place.partitions
        ),
        Some(place) if place.partition() != partition => {
            format!("its key is of partition {}", place.partition())
        }
        Some(_) => return None,
    };
    let text = format!(
        "{}: it came to partition {partition}, and {said}",
        headers::PARTITION
    );
    Some(Fault::new(FaultCode::BadRequest, text))
}

/// The queue of a partition.
pub(crate) fn partition_queue(of: &str, partition: u16) -> String {
    format!("{of}.{partition}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_key_and_partitions() {
        let place = Place {
            key: 3_735_928_559,
            partitions: 16,
        };
        assert_eq!(place.header().as_str(), "3735928559/16");
        assert_eq!(Place::read("3735928559/16"), Some(place));
        assert_eq!(place.partition(), 15);
    }

    #[test]
    fn what_says_no_place_is_none() {
        for header in [
            "",
            "/",
            "1",
            "1/",
            "/1",
            "1/0",
            "1/257",
            "1/65536",
            "+1/2",
            "1/+2",
            "-1/2",
            " 1/2",
            "1/2 ",
            "1/2/3",
            "4294967296/2",
            "1.0/2",
            "a/2",
        ] {
            assert_eq!(Place::read(header), None, "{header:?}");
        }
    }
}
