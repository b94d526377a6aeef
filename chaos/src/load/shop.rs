//! Customers of the shop.

use super::asking::{Answers, Fate, Verdict, Word, ask};
use crate::site::Systems;
use anyhow::{Context as _, Result};
use bank_client::{Answer, Client, Request};
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

const PASSWORD: &str = "correct horse";
const BUYERS: usize = 6;
const PRODUCTS: usize = 8;
/// Pieces of each product at the beginning: more than anybody orders.
pub(crate) const STOCK: i64 = 1_000_000_000;
/// Requests for one thing, before it is left to be followed up.
const TRIES: std::ops::RangeInclusive<u32> = 1..=3;
/// Requests for one thing when everything is well.
const TRIES_WHEN_WELL: u32 = 60;
/// Asked for something to read, the shop that is well answers within this.
const READ_WITHIN: Duration = Duration::from_secs(120);

/// The sentence of a 503 after which nothing was bought, and nothing will be.
const NOTHING_BOUGHT: &str = "A service is away; nothing was bought, try again later";
/// The sentence of a 409 after which it will be known later.
const UNDER_WAY: &str = "The order of this Idempotency-Key is under way";

/// Somebody who buys.
#[derive(Clone)]
pub(crate) struct Buyer {
    token: String,
}

/// Pieces that are to be bought once. No two of a buyer's have the same product and quantity.
#[derive(Debug, Clone)]
pub(crate) struct Purchase {
    pub(crate) by: usize,
    /// The product's id.
    pub(crate) product: i64,
    pub(crate) quantity: i64,
    pub(crate) verdict: Verdict,
    /// The shop's number for it, if it said one.
    id: Option<i64>,
    /// Whether it was asked to be cancelled, and what was said.
    pub(crate) cancelled: Option<Fate>,
    key: String,
}

impl Purchase {
    /// One that has been asked for under a key, with what was said.
    fn new_under(key: String, by: usize, product: i64, quantity: i64) -> Self {
        Self {
            by,
            product,
            quantity,
            verdict: Verdict::default(),
            id: None,
            cancelled: None,
            key,
        }
    }

    #[cfg(test)]
    pub(crate) fn new(by: usize, product: i64, quantity: i64, verdict: Verdict) -> Self {
        let asked = Self::new_under(String::new(), by, product, quantity);
        Self { verdict, ..asked }
    }
}

/// All that was asked of the shop.
#[derive(Default)]
pub(crate) struct ShopBook {
    pub(crate) buyers: Vec<Buyer>,
    /// Their ids.
    pub(crate) products: Vec<i64>,
    pub(crate) purchases: Vec<Purchase>,
    /// How many there were of a buyer and a product.
    before: HashMap<(usize, i64), i64>,
    /// Answers that must not have been given.
    pub(crate) odd: Vec<String>,
    pub(crate) answers: Answers,
    /// Purchases whose fate was not known when the load ended.
    pub(crate) unknown: usize,
}

/// The buyers, and what they asked for.
pub(crate) struct ShopLoad<'a> {
    systems: &'a Systems,
    prefix: String,
    next_face: AtomicUsize,
    book: Mutex<ShopBook>,
}

impl<'a> ShopLoad<'a> {
    /// Registers buyers, and puts products into the shop.
    ///
    /// # Errors
    /// The shop refuses.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn open(systems: &'a Systems, seed: u64) -> Result<Self> {
        let load = Self {
            systems,
            prefix: format!("b{:08x}", seed & 0xffff_ffff),
            next_face: AtomicUsize::new(0),
            book: Mutex::default(),
        };
        for number in 0..BUYERS {
            let buyer = load.register(number).await?;
            load.book().buyers.push(buyer);
        }
        for number in 0..PRODUCTS {
            let product = json!({ "name": format!("product {number}"), "price": 0.01,
                "quantity": STOCK });
            let made = load
                .of(0, systems.products.post("/products"))
                .json(&product);
            let made = made.send().await?;
            let id = made.body.get("id").and_then(Value::as_i64);
            load.book().products.push(id.with_context(|| made.text)?);
        }
        Ok(load)
    }

    async fn register(&self, number: usize) -> Result<Buyer> {
        let name = format!("{}-{number}", self.prefix);
        let credentials = json!({ "username": name, "password": PASSWORD });
        let users = &self.systems.users;
        users.post("/register").json(&credentials).send().await?;
        let form = format!("username={name}&password={}", PASSWORD.replace(' ', "+"));
        let login = users.post("/login").body(form);
        let login = login.header("Content-Type", "application/x-www-form-urlencoded");
        let answer = login.ok().await?;
        let token = answer.get("access_token").and_then(Value::as_str);
        let token = token.context("a login without a token")?.to_owned();
        Ok(Buyer { token })
    }

    /// What was asked for, and said.
    pub(crate) fn book(&self) -> MutexGuard<'_, ShopBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> &Client {
        let turn = self.next_face.fetch_add(1, Ordering::Relaxed);
        let faces = &self.systems.orders;
        faces
            .get(turn % faces.len().max(1))
            .unwrap_or_else(|| unreachable!("a shop has an order service"))
    }

    /// A buyer's request to a service.
    fn of(&self, buyer: usize, request: Request) -> Request {
        let token = self
            .book()
            .buyers
            .get(buyer)
            .map(|buyer| buyer.token.clone());
        request.header(
            "Authorization",
            &format!("Bearer {}", token.unwrap_or_default()),
        )
    }

    /// Does something that a buyer does.
    pub(super) async fn act(&self, dice: &mut StdRng) {
        let by = dice.random_range(0..BUYERS);
        match dice.random_range(0..100) {
            0..60 => self.buy(by, dice).await,
            60..68 => self.cancel(dice).await,
            68..71 => self.ask_again(dice).await,
            _ => self.look(by, dice).await,
        }
    }

    async fn buy(&self, by: usize, dice: &mut StdRng) {
        let number = {
            let mut book = self.book();
            let product = dice.random_range(0..book.products.len().max(1));
            let product = book.products.get(product).copied().unwrap_or_default();
            let before = book.before.entry((by, product)).or_default();
            *before += 1;
            let quantity = *before;
            let number = book.purchases.len();
            let key = format!("{}-{number}", self.prefix);
            book.purchases
                .push(Purchase::new_under(key, by, product, quantity));
            number
        };
        self.carry_out(number, dice.random_range(TRIES)).await;
    }

    /// Asks for what was bought once more, under its key: it is said to be bought again.
    async fn ask_again(&self, dice: &mut StdRng) {
        if let Some(number) = self.bought(dice) {
            self.carry_out(number, 1).await;
        }
    }

    /// A purchase that was said to be made.
    fn bought(&self, dice: &mut StdRng) -> Option<usize> {
        let book = self.book();
        let number = dice.random_range(0..book.purchases.len().max(1));
        let purchase = book.purchases.get(number)?;
        let is_bought = purchase.verdict.fate() == Fate::Done && purchase.cancelled.is_none();
        is_bought.then_some(number)
    }

    async fn carry_out(&self, number: usize, tries: u32) {
        let Some(purchase) = self.book().purchases.get(number).cloned() else {
            return;
        };
        let wanted = json!({ "product_id": purchase.product, "quantity": purchase.quantity });
        let request = async || {
            let request = self.of(purchase.by, self.orders().post("/orders"));
            request.key(&purchase.key).json(&wanted)
        };
        let hear = async |answer: Result<Answer>| {
            let word = word(&answer);
            let mut book = self.book();
            book.answers.count(&answer);
            let mut agrees = true;
            if let Some(purchase) = book.purchases.get_mut(number) {
                agrees = purchase.verdict.hear(word);
                let answer = answer.as_ref().ok().filter(|_| word == Word::Done);
                let id = answer.and_then(|answer| answer.body.get("id")?.as_i64());
                purchase.id = purchase.id.or(id);
                agrees &= id.is_none() || purchase.id == id;
            }
            if !agrees || word == Word::Odd {
                let said = answer.map(|answer| format!("{} {}", answer.status, answer.text));
                book.odd.push(format!("purchase {number}: {said:?}"));
            }
            matches!(word, Word::Done | Word::Never | Word::Odd)
        };
        ask(tries, request, hear).await;
    }

    /// Cancels something that was bought.
    async fn cancel(&self, dice: &mut StdRng) {
        let Some(number) = self.bought(dice) else {
            return;
        };
        let (by, id) = {
            let mut book = self.book();
            let Some(purchase) = book.purchases.get_mut(number) else {
                return;
            };
            purchase.cancelled = Some(Fate::Unknown);
            (purchase.by, purchase.id.unwrap_or_default())
        };
        let request = self.of(by, self.orders().put(&format!("/orders/{id}")));
        let answer = request.json(&json!({ "status": "cancelled" })).send().await;
        let mut book = self.book();
        book.answers.count(&answer);
        let fate = match &answer {
            Ok(answer) if answer.status == 200 => Fate::Done,
            // It is not confirmed yet.
            Ok(answer) if answer.status == 409 => Fate::Refused,
            _ => Fate::Unknown,
        };
        if let Some(purchase) = book.purchases.get_mut(number) {
            purchase.cancelled = Some(fate);
        }
    }

    /// Reads something.
    async fn look(&self, by: usize, dice: &mut StdRng) {
        let systems = self.systems;
        let product = self.book().products.first().copied().unwrap_or_default();
        let (face, path) = match dice.random_range(0..5) {
            0 => (&systems.users, "/me".to_owned()),
            1 => (self.orders(), "/orders?limit=10".to_owned()),
            2 => (self.orders(), "/dashboard".to_owned()),
            3 => (&systems.notifications, "/notifications?limit=10".to_owned()),
            _ => (&systems.products, format!("/products/{product}")),
        };
        let answer = self.of(by, face.get(&path)).send().await;
        self.book().answers.count(&answer);
    }

    /// The purchases whose fate nobody knows.
    pub(super) fn unknown(&self) -> Vec<usize> {
        let mut book = self.book();
        let all = (0_usize..).zip(&book.purchases);
        let unknown = all.filter(|(_, purchase)| purchase.verdict.fate() == Fate::Unknown);
        let unknown: Vec<usize> = unknown.map(|(number, _)| number).collect();
        book.unknown = unknown.len();
        unknown
    }

    /// Asks again for every other purchase, until it is said whether it is made.
    pub(super) async fn follow_up(&self, number: usize) {
        if number.is_multiple_of(2) {
            self.carry_out(number, TRIES_WHEN_WELL).await;
        }
    }

    /// Reads all entries of a buyer's list.
    ///
    /// # Errors
    /// There is no success within 2 minutes.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub(crate) async fn list(&self, face: &Client, buyer: usize, path: &str) -> Result<Vec<Value>> {
        const PAGE: usize = 100;
        let mut all = Vec::new();
        loop {
            let page = format!("{path}?skip={}&limit={PAGE}", all.len());
            let Value::Array(entries) = self.read(face, buyer, &page).await? else {
                anyhow::bail!("{path} is no list");
            };
            let is_last = entries.len() < PAGE;
            all.extend(entries);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Reads something of a buyer, however long it takes to be well.
    ///
    /// # Errors
    /// There is no success within 2 minutes.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub(crate) async fn read(&self, face: &Client, buyer: usize, path: &str) -> Result<Value> {
        let end = Instant::now() + READ_WITHIN;
        loop {
            let read = self.of(buyer, face.get(path)).ok().await;
            if read.is_ok() || Instant::now() > end {
                return read.with_context(|| path.to_owned());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Where it is asked.
    pub(crate) fn systems(&self) -> &Systems {
        self.systems
    }
}

fn word(answer: &Result<Answer>) -> Word {
    let Ok(answer) = answer else {
        return Word::Nothing;
    };
    match answer.status {
        201 => Word::Done,
        402 | 404 => Word::Never,
        409 if answer.detail() == UNDER_WAY => Word::Nothing,
        409 if answer.detail() == "Not enough stock" => Word::Never,
        503 if answer.detail() == NOTHING_BOUGHT => Word::NotThisTime,
        500.. => Word::Nothing,
        _ => Word::Odd,
    }
}
