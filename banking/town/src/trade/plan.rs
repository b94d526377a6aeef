//! A plan of errands, drawn from a seed.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};
use std::{env, fmt, str::FromStr};

/// The smallest amount of an order, and what lies between two of them: an order's key asked for
/// with another amount must not look like another order.
const FIRST_AMOUNT: i64 = 10;
const BETWEEN_AMOUNTS: i64 = 7;

/// All that is going to be asked for.
#[derive(Debug)]
pub struct Plan {
    /// In the order in which it begins.
    pub errands: Vec<Errand>,
    seed: u64,
    customers: usize,
    dice: StdRng,
}

/// An errand of one customer.
#[derive(Debug, Clone)]
pub enum Errand {
    /// To move money.
    Order(Order),
    /// A request that the bank must refuse.
    Nonsense(Nonsense),
}

/// Money that is to move, once.
#[derive(Debug, Clone)]
pub struct Order {
    /// The customer whose order it is.
    pub by: usize,
    /// The way the money moves.
    pub act: Act,
    /// The amount in minor units; no other order's.
    pub amount: i64,
    /// The customer's name for it.
    pub key: String,
    /// Requests for it that are sent at once.
    pub at_once: usize,
    /// `true` if it is asked for once more when it has its verdict.
    pub again: bool,
    /// `true` if its key is then used for another amount.
    pub otherwise: bool,
}

/// A way for money to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// In from outside.
    Deposit,
    /// Out to outside.
    Withdraw,
    /// To another customer, named by name or by account number.
    Transfer {
        /// To whom.
        to: usize,
        /// `true` if by number.
        by_number: bool,
    },
}

/// A request that is refused and moves nothing.
#[derive(Debug, Clone)]
pub struct Nonsense {
    /// The customer who sends it.
    pub by: usize,
    /// The route.
    pub path: &'static str,
    /// The body.
    pub body: Value,
    /// The status that it must get.
    pub status: u16,
}

/// The seed that this environment variable holds, or another one each time.
#[must_use]
pub fn seed_of_environment(variable: &str) -> u64 {
    let seed = number_of_environment(variable);
    seed.unwrap_or_else(rand::random)
}

/// The number that this environment variable holds, if it is one.
#[must_use]
pub fn number_of_environment<T: FromStr>(variable: &str) -> Option<T> {
    env::var(variable).ok()?.parse().ok()
}

impl Plan {
    /// A plan of at least so many requests for so many customers, 2 at least: of 20 errands 13 are
    /// transfers, 3 deposits, 3 withdrawals and 1 is nonsense; a third of the transfers cross
    /// between neighbours.
    #[must_use]
    pub fn draw(seed: u64, customers: usize, requests: usize) -> Self {
        let mut plan = Self {
            errands: Vec::new(),
            seed,
            customers,
            dice: StdRng::seed_from_u64(seed),
        };
        plan.grow(requests);
        plan
    }

    /// Draws at least so many further requests, by the same rules.
    pub fn grow(&mut self, requests: usize) {
        let planned = self.errands.len();
        let (dice, customers) = (&mut self.dice, self.customers);
        let mut drawn = 0;
        while drawn < requests {
            let errand = if dice.random_ratio(1, 20) {
                Errand::Nonsense(nonsense(dice, customers))
            } else {
                Errand::Order(order(dice, customers, self.seed, self.errands.len()))
            };
            drawn += errand.requests();
            self.errands.push(errand);
        }
        // Drawn apart, so that large and small ones come in any order.
        let mut amounts: Vec<i64> = (FIRST_AMOUNT..)
            .step_by(usize::try_from(BETWEEN_AMOUNTS).unwrap_or(1))
            .skip(planned)
            .take(self.errands.len() - planned)
            .collect();
        amounts.shuffle(dice);
        for (errand, amount) in self.errands.iter_mut().skip(planned).zip(amounts) {
            if let Errand::Order(order) = errand {
                order.amount = amount;
            }
        }
    }

    /// The number of requests it consists of.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.errands.iter().map(Errand::requests).sum()
    }
}

impl Errand {
    fn requests(&self) -> usize {
        match self {
            Self::Order(order) => {
                order.at_once + usize::from(order.again) + usize::from(order.otherwise)
            }
            Self::Nonsense(_) => 1,
        }
    }
}

fn order(dice: &mut StdRng, customers: usize, seed: u64, number: usize) -> Order {
    let by = dice.random_range(0..customers);
    let act = match dice.random_range(0..19) {
        0..3 => Act::Deposit,
        3..6 => Act::Withdraw,
        _ => Act::Transfer {
            to: other(dice, customers, by),
            by_number: dice.random_bool(0.5),
        },
    };
    Order {
        by,
        act,
        amount: 0,
        key: format!("{seed:016x}-{number}"),
        at_once: if dice.random_ratio(1, 8) {
            dice.random_range(2..=3)
        } else {
            1
        },
        again: dice.random_ratio(1, 10),
        otherwise: dice.random_ratio(1, 10),
    }
}

/// Another customer: the neighbour, to whom many do, or any.
fn other(dice: &mut StdRng, customers: usize, by: usize) -> usize {
    let neighbour = by ^ 1;
    if dice.random_ratio(1, 3) && neighbour < customers {
        return neighbour;
    }
    (by + dice.random_range(1..customers)) % customers
}

fn nonsense(dice: &mut StdRng, customers: usize) -> Nonsense {
    const ACCOUNT: [&str; 2] = ["/api/account/deposit", "/api/account/withdraw"];
    let amounts = [
        json!(0),
        json!(-5),
        json!(1.5),
        json!("12"),
        json!(null),
        json!(true),
        json!([1]),
        json!(1_000_000_000_001_i64),
        json!(1e300),
        json!(u64::MAX),
    ];
    let amount = amounts
        .get(dice.random_range(0..amounts.len()))
        .cloned()
        .unwrap_or_default();
    let (path, body, status) = match dice.random_range(0..4) {
        place @ (0 | 1) => {
            let path = ACCOUNT.get(place).copied().unwrap_or_default();
            (path, json!({ "amount": amount }), 400)
        }
        2 => (
            "/api/transfer/transfer",
            json!({ "to_username": "nobody-has-this-name", "amount": 5 }),
            404,
        ),
        _ => (
            "/api/transfer/transfer",
            json!({ "to_username": "nobody-has-this-name", "amount": amount }),
            400,
        ),
    };
    Nonsense {
        by: dice.random_range(0..customers),
        path,
        body,
        status,
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} of {} by customer {} under {}",
            self.act, self.amount, self.by, self.key
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_plan_is_as_large_as_asked_and_the_same_for_the_same_seed() {
        let (plan, same) = (Plan::draw(7, 50, 1_000), Plan::draw(7, 50, 1_000));
        assert!((1_000..1_010).contains(&plan.requests()));
        assert_eq!(format!("{plan:?}"), format!("{same:?}"));
        assert_ne!(
            format!("{plan:?}"),
            format!("{:?}", Plan::draw(8, 50, 1_000))
        );
    }

    #[test]
    fn no_two_orders_can_be_mistaken_for_each_other() {
        let mut plan = Plan::draw(7, 50, 2_000);
        plan.grow(3_000);
        let orders: Vec<_> = plan
            .errands
            .iter()
            .filter_map(|errand| match errand {
                Errand::Order(order) => Some(order),
                Errand::Nonsense(_) => None,
            })
            .collect();
        // The amounts that may be asked for under a key, and the keys.
        let amounts: HashSet<_> = orders
            .iter()
            .flat_map(|order| [order.amount, order.amount + 1])
            .collect();
        assert_eq!(amounts.len(), 2 * orders.len());
        let keys: HashSet<_> = orders.iter().map(|order| &order.key).collect();
        assert_eq!(keys.len(), orders.len());
        for order in &orders {
            assert!(
                !matches!(order.act, Act::Transfer { to, .. } if to == order.by),
                "{order}"
            );
        }
        let crossing = |a: usize, b: usize| {
            orders.iter().any(|order| {
                order.by == a && matches!(order.act, Act::Transfer { to, .. } if to == b)
            })
        };
        assert!((0..50).all(|by| crossing(by, by ^ 1)));
    }
}
