//! Events, for whoever wants to know.

use crate::{AccountNumber, Amount, UserId, Username};
use jiff::Timestamp;
use replybus::Event;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Money was moved: between two users, or over the edge of the bank; or it was to be, by a standing
/// order, and could not. Emitted at least once, under
/// the id of the transaction.
///
/// It is checked where it is read: names, numbers and amounts are such, and there is what its kind
/// of movement has. Who emitted it is told by its [`proof`](Self::proof) alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[event("transaction.completed", exchange = "banking_events")]
#[serde(try_from = "Travelling", into = "Travelling")]
pub struct TransactionCompleted {
    /// The transaction: the transfer, or the posting in the ledger.
    pub id: Uuid,
    /// Where the money went.
    pub movement: Movement,
    /// The amount that moved.
    pub amount: Amount,
    /// When it was posted.
    pub completed_at: Timestamp,
    /// The same, signed by the program that says so. Not there until it is emitted.
    pub proof: Option<String>,
}

/// The way that money went, and what is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movement {
    /// From one user to another.
    Transfer {
        /// The user whose money it was.
        from: Party,
        /// The user whose it is now.
        to: Party,
    },
    /// From one user to another by a standing order, and there was too little to move.
    NotMade {
        /// The user whose money it is.
        from: Party,
        /// The user whose it was to be.
        to: Party,
    },
    /// A user paid in.
    Deposit {
        /// The user.
        to: Party,
        /// What is on their account afterwards, in minor units.
        new_balance: i64,
    },
    /// A user paid out.
    Withdrawal {
        /// The user.
        from: Party,
        /// What is on their account afterwards, in minor units.
        new_balance: i64,
    },
}

/// One side of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Party {
    /// The user.
    pub user_id: UserId,
    /// Their name.
    pub username: Username,
    /// Their account.
    pub account_number: AccountNumber,
}

/// An event as it travels and is stored.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Travelling {
    /// Those that say nothing of it, from versions before there were others, are transfers.
    #[serde(rename = "type", default)]
    kind: Kind,
    id: Option<Uuid>,
    /// The id of a transfer once more: its only name in versions before, which still read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer: Option<Uuid>,
    amount: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_balance: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Party>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Party>,
    completed_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Transfer,
    #[serde(rename = "not_made")]
    NotMade,
    Deposit,
    Withdraw,
}

/// What was read is no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a transaction has an id, and the sides and the balance of its type")]
struct NoTransaction;

impl TryFrom<Travelling> for TransactionCompleted {
    type Error = NoTransaction;

    fn try_from(read: Travelling) -> Result<Self, NoTransaction> {
        let balance = read.new_balance.filter(|balance| *balance >= 0);
        let movement = match (read.kind, read.from, read.to, balance) {
            (Kind::Transfer, Some(from), Some(to), None) if from.user_id != to.user_id => {
                Movement::Transfer { from, to }
            }
            (Kind::NotMade, Some(from), Some(to), None) if from.user_id != to.user_id => {
                Movement::NotMade { from, to }
            }
            (Kind::Deposit, None, Some(to), Some(new_balance)) => {
                Movement::Deposit { to, new_balance }
            }
            (Kind::Withdraw, Some(from), None, Some(new_balance)) => {
                Movement::Withdrawal { from, new_balance }
            }
            _ => return Err(NoTransaction),
        };
        Ok(Self {
            id: read.id.or(read.transfer).ok_or(NoTransaction)?,
            movement,
            amount: read.amount,
            completed_at: read.completed_at,
            proof: read.proof,
        })
    }
}

impl From<TransactionCompleted> for Travelling {
    fn from(event: TransactionCompleted) -> Self {
        let (kind, from, to, new_balance) = match event.movement {
            Movement::Transfer { from, to } => (Kind::Transfer, Some(from), Some(to), None),
            Movement::NotMade { from, to } => (Kind::NotMade, Some(from), Some(to), None),
            Movement::Deposit { to, new_balance } => {
                (Kind::Deposit, None, Some(to), Some(new_balance))
            }
            Movement::Withdrawal { from, new_balance } => {
                (Kind::Withdraw, Some(from), None, Some(new_balance))
            }
        };
        Self {
            kind,
            id: Some(event.id),
            transfer: (kind == Kind::Transfer).then_some(event.id),
            amount: event.amount,
            new_balance,
            from,
            to,
            completed_at: event.completed_at,
            proof: event.proof,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn party(name: &str) -> Party {
        Party {
            user_id: UserId::new(),
            username: name.parse().unwrap(),
            account_number: AccountNumber::draw(),
        }
    }

    fn transaction(movement: Movement) -> TransactionCompleted {
        TransactionCompleted {
            id: Uuid::now_v7(),
            movement,
            amount: Amount::new(20_000).unwrap(),
            completed_at: Timestamp::now(),
            proof: None,
        }
    }

    fn all() -> [TransactionCompleted; 3] {
        let (from, to, new_balance) = (party("ada"), party("bob"), 90_000);
        [
            transaction(Movement::Deposit {
                to: to.clone(),
                new_balance,
            }),
            transaction(Movement::Withdrawal {
                from: from.clone(),
                new_balance,
            }),
            transaction(Movement::Transfer { from, to }),
        ]
    }

    #[test]
    fn each_kind_is_read_as_it_was_written() {
        for (event, kind) in all().into_iter().zip(["deposit", "withdraw", "transfer"]) {
            let written = serde_json::to_value(&event).unwrap();
            assert_eq!(written["type"], kind);
            assert_eq!(written["id"], event.id.to_string());
            assert_eq!(written["amount"], 20_000);
            let balance = written.get("new_balance").and_then(Value::as_i64);
            assert_eq!(balance, (kind != "transfer").then_some(90_000));
            let read: TransactionCompleted = serde_json::from_value(written).unwrap();
            assert_eq!(read, event);
        }
    }

    #[test]
    fn what_was_not_made_is_no_transfer_to_anybody() {
        let (from, to) = (party("ada"), party("bob"));
        let event = transaction(Movement::NotMade { from, to });
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(written["type"], "not_made");
        // A version that reads what has no type as a transfer finds no name of one.
        assert!(written.get("transfer").is_none());
        let read: TransactionCompleted = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(read, event);
        let mut to_herself = written;
        to_herself["to"] = to_herself["from"].clone();
        assert!(serde_json::from_value::<TransactionCompleted>(to_herself).is_err());
    }

    #[test]
    fn versions_before_are_read_and_read_what_is_written_now() {
        let [.., event] = all();
        let written = serde_json::to_value(&event).unwrap();
        // What they require.
        for field in ["transfer", "from", "to", "amount", "completed_at"] {
            assert!(!written[field].is_null(), "{field}");
        }
        let mut before = written;
        let fields = before.as_object_mut().unwrap();
        fields.retain(|field, _| field != "type" && field != "id");
        let read: TransactionCompleted = serde_json::from_value(before).unwrap();
        assert_eq!(read, event);
    }

    #[test]
    fn what_is_no_transaction_is_not_read() {
        let [deposit, _, transfer] = all().map(|event| serde_json::to_value(&event).unwrap());
        let to = &deposit["to"];
        let with_name = |name: &str| {
            let mut party = to.clone();
            party["username"] = json!(name);
            party
        };
        for (event, field, value) in [
            (&deposit, "amount", json!(0)),
            (&deposit, "amount", json!(Amount::MAX + 1)),
            (&deposit, "new_balance", json!(-1)),
            (&deposit, "new_balance", Value::Null),
            (&deposit, "from", to.clone()),
            (&deposit, "to", Value::Null),
            (&deposit, "id", Value::Null),
            (&deposit, "type", json!("gift")),
            (&transfer, "from", transfer["to"].clone()),
            (&transfer, "new_balance", json!(1)),
            (&transfer, "to", with_name("b\0b")),
            (&transfer, "to", with_name("The Bank of England")),
            (&transfer, "to", with_name("bob\u{202e}nib")),
            (&transfer, "to", with_name("<b>bob</b>")),
            (&transfer, "to", with_name(&"b".repeat(200_000))),
        ] {
            let mut wrong = event.clone();
            wrong[field] = value;
            let read: Result<TransactionCompleted, _> = serde_json::from_value(wrong);
            assert!(read.is_err(), "{field}: {read:?}");
        }
    }
}
