//! Customers of the bank.

mod registration;

use super::asking::{Answers, Fate, Verdict, Word, ask};
use crate::site::Systems;
use anyhow::{Context as _, Result};
use bank_client::{Answer, Client, Customer, Request};
use rand::{RngExt as _, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

const PASSWORD: &str = "correct horse battery";
/// Customers at the beginning.
const CUSTOMERS: usize = 12;
/// Amounts count up from here, for each customer and kind: no two have the same.
const DEPOSITS_FROM: i64 = 500;
const WITHDRAWALS_FROM: i64 = 100;
const TRANSFERS_FROM: i64 = 10;
/// Requests for one thing, before it is left to be followed up.
const TRIES: std::ops::RangeInclusive<u32> = 1..=3;
/// Requests for one thing when everything is well.
const TRIES_WHEN_WELL: u32 = 60;
/// Asked for something to read, the bank that is well answers within this.
const READ_WITHIN: Duration = Duration::from_secs(120);

/// What a customer orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    Deposit,
    Withdraw,
    /// To another customer, by number.
    Transfer(usize),
}

/// Money that is to move once.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) by: usize,
    pub(crate) act: Act,
    pub(crate) amount: i64,
    pub(crate) verdict: Verdict,
    key: String,
}

impl Order {
    /// One that has been asked for, with what was said.
    #[cfg(test)]
    pub(crate) fn new(by: usize, act: Act, amount: i64, verdict: Verdict) -> Self {
        let key = String::new();
        Self {
            by,
            act,
            amount,
            verdict,
            key,
        }
    }
}

/// All that was asked of the bank.
#[derive(Debug, Default)]
pub(crate) struct BankBook {
    /// By number: the place here.
    pub(crate) customers: Vec<Customer>,
    /// By number: a transfer's reference is `order N`.
    pub(crate) orders: Vec<Order>,
    /// How many there were of a customer, of each kind.
    before: HashMap<(usize, Act), i64>,
    /// Names that were to be registered while something failed.
    registrations: Vec<(String, Verdict)>,
    /// Answers that must not have been given.
    pub(crate) odd: Vec<String>,
    pub(crate) answers: Answers,
    /// Orders whose fate was not known when the load ended.
    pub(crate) unknown: usize,
}

/// The customers, and what they asked for.
pub(crate) struct BankLoad<'a> {
    systems: &'a Systems,
    /// What names and keys of this run begin with.
    prefix: String,
    next_gateway: AtomicUsize,
    book: Mutex<BankBook>,
}

impl<'a> BankLoad<'a> {
    /// Registers the first customers.
    ///
    /// # Errors
    /// The bank refuses.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn open(systems: &'a Systems, seed: u64) -> Result<Self> {
        let load = Self {
            systems,
            prefix: format!("c{:08x}", seed & 0xffff_ffff),
            next_gateway: AtomicUsize::new(0),
            book: Mutex::default(),
        };
        for number in 0..CUSTOMERS {
            let name = format!("{}-{number}", load.prefix);
            let customer = Customer::register(load.gateway(), name, PASSWORD).await?;
            load.book().customers.push(customer);
        }
        Ok(load)
    }

    /// What was asked for, and said.
    pub(crate) fn book(&self) -> MutexGuard<'_, BankBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gateway(&self) -> &Client {
        let turn = self.next_gateway.fetch_add(1, Ordering::Relaxed);
        let gateways = &self.systems.gateways;
        gateways
            .get(turn % gateways.len().max(1))
            .unwrap_or_else(|| unreachable!("a bank has a gateway"))
    }

    /// One customer, at the gateway whose turn it is.
    fn customer(&self, number: usize) -> Option<Customer> {
        let customer = self.book().customers.get(number).cloned();
        customer.map(|customer| customer.at(self.gateway()))
    }

    /// Does something that a customer does.
    pub(super) async fn act(&self, dice: &mut StdRng) {
        let customers = self.book().customers.len();
        let by = dice.random_range(0..customers);
        match dice.random_range(0..100) {
            0..45 => {
                let to = (by + dice.random_range(1..customers)) % customers;
                self.order(by, Act::Transfer(to), dice).await;
            }
            45..62 => self.order(by, Act::Deposit, dice).await,
            62..75 => self.order(by, Act::Withdraw, dice).await,
            75..77 => self.register().await,
            77..80 => self.ask_again(dice).await,
            _ => self.look(by, dice).await,
        }
    }

    async fn order(&self, by: usize, act: Act, dice: &mut StdRng) {
        let number = {
            let mut book = self.book();
            let number = book.orders.len();
            let before = book.before.entry((by, act)).or_default();
            let amount = *before
                + match act {
                    Act::Deposit => DEPOSITS_FROM,
                    Act::Withdraw => WITHDRAWALS_FROM,
                    Act::Transfer(_) => TRANSFERS_FROM,
                };
            *before += 1;
            let key = format!("{}-{number}", self.prefix);
            let verdict = Verdict::default();
            book.orders.push(Order {
                by,
                act,
                amount,
                verdict,
                key,
            });
            number
        };
        self.carry_out(number, dice.random_range(TRIES)).await;
    }

    /// Asks for what was done once more, under its key: it is said to be done again.
    async fn ask_again(&self, dice: &mut StdRng) {
        let number = {
            let book = self.book();
            let number = dice.random_range(0..book.orders.len().max(1));
            let order = book.orders.get(number);
            let is_done = order.is_some_and(|order| order.verdict.fate() == Fate::Done);
            is_done.then_some(number)
        };
        if let Some(number) = number {
            self.carry_out(number, 1).await;
        }
    }

    async fn carry_out(&self, number: usize, tries: u32) {
        let Some(order) = self.book().orders.get(number).cloned() else {
            return;
        };
        let request = async || self.request(number, &order);
        let hear = async |answer: Result<Answer>| {
            let word = word(&answer);
            {
                let mut book = self.book();
                book.answers.count(&answer);
                let order = book.orders.get_mut(number);
                let agrees = order.is_none_or(|order| order.verdict.hear(word));
                if !agrees || word == Word::Odd {
                    let said = answer.map(|answer| format!("{} {}", answer.status, answer.text));
                    book.odd
                        .push(format!("order {number} of the bank: {said:?}"));
                }
            }
            if word == Word::LoggedOut {
                self.log_in(order.by).await;
            }
            matches!(word, Word::Done | Word::Never | Word::Odd)
        };
        ask(tries, request, hear).await;
    }

    fn request(&self, number: usize, order: &Order) -> Request {
        let amount = order.amount;
        let (path, body) = match order.act {
            Act::Deposit => ("/api/account/deposit", json!({ "amount": amount })),
            Act::Withdraw => ("/api/account/withdraw", json!({ "amount": amount })),
            Act::Transfer(to) => {
                let to = self.customer(to).map(|to| to.username);
                let body = json!({ "to_username": to, "amount": amount,
                    "reference": reference(number) });
                ("/api/transfer/transfer", body)
            }
        };
        let session = self
            .book()
            .customers
            .get(order.by)
            .map(|by| by.session.clone());
        let request = self
            .gateway()
            .post(path)
            .session(&session.unwrap_or_default());
        request.key(&order.key).json(&body)
    }

    /// Reads something.
    async fn look(&self, by: usize, dice: &mut StdRng) {
        const PATHS: [&str; 6] = [
            "/api/account/balance",
            "/api/account/me",
            "/api/account/statement",
            "/api/transfer/transactions",
            "/api/notifications/notifications",
            "/api/dashboard",
        ];
        let path = PATHS.get(dice.random_range(0..PATHS.len()));
        let Some(customer) = self.customer(by) else {
            return;
        };
        let answer = customer.get(path.copied().unwrap_or_default()).send().await;
        self.book().answers.count(&answer);
        if answer.is_ok_and(|answer| answer.status == 401) {
            self.log_in(by).await;
        }
    }

    /// Gets a session for a customer who has none any more.
    async fn log_in(&self, number: usize) {
        let Some(customer) = self.customer(number) else {
            return;
        };
        let credentials = json!({ "username": customer.username, "password": PASSWORD });
        let login = customer.client.post("/api/auth/login").json(&credentials);
        let answer = login.send().await;
        let mut book = self.book();
        book.answers.count(&answer);
        let session = answer.ok().and_then(|answer| {
            let session = answer.body.get("session").and_then(Value::as_str);
            session.map(str::to_owned)
        });
        if let (Some(session), Some(customer)) = (session, book.customers.get_mut(number)) {
            customer.session = session;
        }
    }

    /// The orders whose fate nobody knows.
    pub(super) fn unknown(&self) -> Vec<usize> {
        let mut book = self.book();
        let orders = (0_usize..).zip(&book.orders);
        let unknown = orders.filter(|(_, order)| order.verdict.fate() == Fate::Unknown);
        let unknown: Vec<usize> = unknown.map(|(number, _)| number).collect();
        book.unknown = unknown.len();
        unknown
    }

    /// Asks again for every other order, until there is a verdict.
    pub(super) async fn follow_up(&self, number: usize) {
        if number.is_multiple_of(2) {
            self.carry_out(number, TRIES_WHEN_WELL).await;
            let fate = self
                .book()
                .orders
                .get(number)
                .map(|order| order.verdict.fate());
            if fate == Some(Fate::Unknown) {
                let mut book = self.book();
                book.odd
                    .push(format!("order {number} of the bank has no verdict"));
            }
        }
    }

    /// Reads something of a customer, or of the administrator, however long it takes to be well.
    ///
    /// # Errors
    /// There is no success within 2 minutes.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub(crate) async fn read(&self, of: Option<usize>, path: &str) -> Result<Value> {
        let end = Instant::now() + READ_WITHIN;
        loop {
            let request = match of {
                Some(number) => {
                    let customer = self.customer(number).context("no such customer")?;
                    customer.get(path)
                }
                None => {
                    let secret = &self.systems.admin_secret;
                    self.gateway().get(path).header("X-Admin-Secret", secret)
                }
            };
            let answer = request.send().await;
            if let (Some(number), Ok(answer)) = (of, &answer)
                && answer.status == 401
            {
                self.log_in(number).await;
            }
            let read = answer.and_then(Answer::ok);
            if read.is_ok() || Instant::now() > end {
                return read.with_context(|| path.to_owned());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What a transfer says it is for: its order.
pub(crate) fn reference(number: usize) -> String {
    format!("order {number}")
}

fn word(answer: &Result<Answer>) -> Word {
    let Ok(answer) = answer else {
        return Word::Nothing;
    };
    match answer.status {
        200 => Word::Done,
        // The ledger's verdict, which it keeps under the key.
        400 if answer.detail() == "Insufficient balance" => Word::Never,
        401 => Word::LoggedOut,
        429 | 500.. => Word::Nothing,
        _ => Word::Odd,
    }
}
