//! The notifications of a transaction, in words.

use chassis::database::{moment, now};
use contracts::{Movement, Party, TransactionCompleted};
use live_feed::NewNotification;
use uuid::Uuid;

/// The notifications of all users whom a transaction concerns.
///
/// # Errors
/// The clock of this machine is out of the range of dates.
pub(crate) fn notifications_of(event: &TransactionCompleted) -> sqlx::Result<Vec<NewNotification>> {
    // As precise as it is stored, so that it is shown the same at once and later.
    let created_at = moment(now())?;
    let amount = written(event.amount.minor_units());
    let notification = |party: &Party, message| NewNotification {
        id: Uuid::now_v7(),
        user_id: party.user_id,
        message,
        created_at,
    };
    let over_the_edge = |what, balance| {
        let balance = written(balance);
        format!("{what} of {amount} completed. New balance: {balance}")
    };
    Ok(match &event.movement {
        Movement::Transfer { from, to } => vec![
            notification(from, format!("You sent {amount} to {}", to.username)),
            notification(to, format!("You received {amount} from {}", from.username)),
        ],
        Movement::NotMade { from, to } => {
            let to = &to.username;
            let message = format!("Standing order of {amount} to {to} not made: too little money");
            vec![notification(from, message)]
        }
        Movement::Deposit { to, new_balance } => {
            vec![notification(to, over_the_edge("Deposit", *new_balance))]
        }
        Movement::Withdrawal { from, new_balance } => {
            vec![notification(
                from,
                over_the_edge("Withdrawal", *new_balance),
            )]
        }
    })
}

/// Minor units as people write them: hundredths behind a point, and a comma between thousands.
fn written(minor_units: i64) -> String {
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
    use contracts::{AccountNumber, Amount, UserId};
    use jiff::Timestamp;

    #[test]
    fn amounts_are_written_as_people_write_them() {
        for (amount, text) in [
            (0, "0.00"),
            (1, "0.01"),
            (99, "0.99"),
            (100, "1.00"),
            (99_999, "999.99"),
            (100_000, "1,000.00"),
            (123_456_789, "1,234,567.89"),
            (Amount::MAX, "10,000,000,000.00"),
        ] {
            assert_eq!(written(amount), text);
        }
    }

    fn told(movement: Movement, amount: i64) -> Vec<(UserId, String)> {
        let event = TransactionCompleted {
            id: Uuid::now_v7(),
            movement,
            amount: Amount::new(amount).unwrap(),
            completed_at: Timestamp::now(),
            proof: None,
        };
        let told = notifications_of(&event).unwrap();
        let told = told.into_iter();
        told.map(|one| (one.user_id, one.message)).collect()
    }

    #[test]
    fn whom_it_concerns_is_told_of_it() {
        let party = |name: &str| Party {
            user_id: UserId::new(),
            username: name.parse().unwrap(),
            account_number: AccountNumber::draw(),
        };
        let (alice, bob) = (party("alice"), party("bob"));
        let (from, to) = (alice.user_id, bob.user_id);
        let paid_in = Movement::Deposit {
            to: alice.clone(),
            new_balance: 90_000,
        };
        let text = "Deposit of 200.00 completed. New balance: 900.00";
        assert_eq!(told(paid_in, 20_000), [(from, text.to_owned())]);
        let paid_out = Movement::Withdrawal {
            from: alice.clone(),
            new_balance: 0,
        };
        let text = "Withdrawal of 1,000.00 completed. New balance: 0.00";
        assert_eq!(told(paid_out, 100_000), [(from, text.to_owned())]);
        let not_made = Movement::NotMade {
            from: alice.clone(),
            to: bob.clone(),
        };
        assert_eq!(
            told(not_made, 5),
            [(
                from,
                "Standing order of 0.05 to bob not made: too little money".to_owned()
            )]
        );
        let transfer = Movement::Transfer {
            from: alice,
            to: bob,
        };
        assert_eq!(
            told(transfer, 1_234),
            [
                (from, "You sent 12.34 to bob".to_owned()),
                (to, "You received 12.34 from alice".to_owned()),
            ]
        );
    }
}
