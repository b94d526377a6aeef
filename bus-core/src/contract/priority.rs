//! How much a call matters, beside others.

/// How much a call matters, beside others to the same service: what a service that gets more than it
/// can do refuses first.
///
/// It is inherited by the calls that a handler makes, as time is: what is done for a call of low
/// priority is of low priority. Otherwise a call has that of its client
/// ([`Call::priority`](crate::Call::priority)), or [`Normal`](Self::Normal).
///
/// It changes nothing about the order in which a queue is worked off, with one exception that the
/// broker makes: quorum queues of RabbitMQ 4 deliver two messages of high priority for each other one.
/// Calls to a contract with partitions, which keep their order, are of normal priority instead of high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Priority {
    /// Refused as soon as the service is behind: work that can be done another time, such as a report
    /// or a prefetch.
    Low,
    /// Refused by a service that is behind if it could not be answered in time.
    #[default]
    Normal,
    /// Refused by a service that is behind only if its time is over before a handler could end.
    High,
}

impl Priority {
    /// What the AMQP property `priority` says of it; nothing of most calls.
    pub(crate) fn to_wire(self) -> Option<u8> {
        match self {
            Self::Low => Some(1),
            Self::Normal => None,
            Self::High => Some(9),
        }
    }

    /// That of a message from anybody. Clients in other languages set 0, AMQP's default, or 4, that
    /// of JMS, where their user said nothing.
    pub(crate) fn from_wire(property: Option<u8>) -> Self {
        match property {
            None | Some(0 | 4) => Self::Normal,
            Some(1..=3) => Self::Low,
            Some(_) => Self::High,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_as_it_was_written_and_any_byte_is_one() {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            assert_eq!(Priority::from_wire(priority.to_wire()), priority);
        }
        let order: Vec<Priority> = (1..=255)
            .map(|byte| Priority::from_wire(Some(byte)))
            .collect();
        assert!(order.is_sorted());
    }
}
