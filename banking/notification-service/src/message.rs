//! The notifications of a transfer, in words.

use chassis::database::{moment, now};
use contracts::{Amount, TransactionCompleted};
use live_feed::NewNotification;
use uuid::Uuid;

/// The notification of the sender, and that of the recipient.
///
/// # Errors
/// The clock of this machine is out of the range of dates.
pub(crate) fn notifications_of(event: &TransactionCompleted) -> sqlx::Result<[NewNotification; 2]> {
    // As precise as it is stored, so that it is shown the same at once and later.
    let created_at = moment(now())?;
    let amount = written(event.amount);
    let notification = |user_id, message| NewNotification {
        id: Uuid::now_v7(),
        user_id,
        message,
        created_at,
    };
    let (from, to) = (&event.from, &event.to);
    Ok([
        notification(
            from.user_id,
            format!("You sent {amount} to {}", to.username),
        ),
        notification(
            to.user_id,
            format!("You received {amount} from {}", from.username),
        ),
    ])
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
    use contracts::{AccountNumber, Party, UserId};
    use jiff::Timestamp;

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
        let [sender, recipient] = notifications_of(&event).unwrap();
        assert_eq!(sender.user_id, event.from.user_id);
        assert_eq!(sender.message, "You sent 12.34 to bob");
        assert_eq!(recipient.user_id, event.to.user_id);
        assert_eq!(recipient.message, "You received 12.34 from alice");
        assert_ne!(sender.id, recipient.id);
    }
}
