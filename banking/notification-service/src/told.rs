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
        let amount = written(event.amount);
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

/// An amount as people write it: hundredths behind a point, and a comma between thousands.
fn written(amount: Amount) -> String {
    let minor_units = amount.minor_units();
    let whole = (minor_units / 100).to_string();
    let mut text = String::with_capacity(whole.len() + whole.len() / 3 + 3);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let hundredths = minor_units % 100;
    text + &format!(".{hundredths:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{AccountNumber, Party};

    #[test]
    fn amounts_are_written_as_people_write_them() {
        for (amount, text) in [
            (1, "0.01"),
            (99, "0.99"),
            (100, "1.00"),
            (99_999, "999.99"),
            (100_000, "1,000.00"),
            (123_456_789, "1,234,567.89"),
            (Amount::MAX, "10,000,000,000.00"),
        ] {
            assert_eq!(written(Amount::new(amount).unwrap()), text);
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
        assert_eq!(sender.message, "You sent 12.34 to bob");
        assert_eq!(recipient.user_id, event.to.user_id);
        assert_eq!(recipient.message, "You received 12.34 from alice");
        assert_ne!(sender.id, recipient.id);
    }
}
