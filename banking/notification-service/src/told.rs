//! What each side of a transfer is told.

use chassis::database::{moment, now};
use contracts::{Amount, TransactionCompleted, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A notification as it is stored and then shown to those who are connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) id: Uuid,
    pub(crate) user_id: UserId,
    pub(crate) message: String,
    pub(crate) created_at: Timestamp,
}

impl Told {
    /// What the sender is told, and what the recipient is.
    ///
    /// # Errors
    /// The clock of this machine is out of the range of dates.
    pub(crate) fn of(event: &TransactionCompleted) -> sqlx::Result<[Self; 2]> {
        // As precise as it is stored, so that it is shown the same at once and later.
        let created_at = moment(now())?;
        let amount = grouped(event.amount);
        let told = |user_id, message| Self {
            id: Uuid::now_v7(),
            user_id,
            message,
            created_at,
        };
        let (from, to) = (&event.from, &event.to);
        Ok([
            told(
                from.user_id,
                format!("You sent {amount} to {}", to.username),
            ),
            told(
                to.user_id,
                format!("You received {amount} from {}", from.username),
            ),
        ])
    }
}

/// Minor units, with a comma between thousands.
fn grouped(amount: Amount) -> String {
    let digits = amount.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{AccountNumber, Party};

    #[test]
    fn thousands_are_set_apart() {
        for (amount, text) in [
            (1, "1"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (123_456, "123,456"),
            (Amount::MAX, "1,000,000,000,000"),
        ] {
            assert_eq!(grouped(Amount::new(amount).unwrap()), text);
        }
    }

    #[test]
    fn each_side_is_told_its_own_half() {
        let party = |name: &str| Party {
            user_id: UserId::new(),
            username: name.to_owned(),
            account_number: AccountNumber::draw(),
        };
        let event = TransactionCompleted {
            transfer: Uuid::now_v7(),
            from: party("alice"),
            to: party("bob"),
            amount: Amount::new(1_234).unwrap(),
            completed_at: Timestamp::now(),
        };
        let [sender, recipient] = Told::of(&event).unwrap();
        assert_eq!(sender.user_id, event.from.user_id);
        assert_eq!(sender.message, "You sent 1,234 to bob");
        assert_eq!(recipient.user_id, event.to.user_id);
        assert_eq!(recipient.message, "You received 1,234 from alice");
        assert_ne!(sender.id, recipient.id);
    }
}
