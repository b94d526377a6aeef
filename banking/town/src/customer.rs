//! Someone with an account and a session.

use crate::{Ask, Visitor};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A bank that is too busy to check passwords is asked again this often, with a pause between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(200);

/// A user of the bank, logged in.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Their way to the bank.
    pub visitor: Visitor,
    /// Their name.
    pub username: String,
    /// Their id.
    pub id: String,
    /// Their account.
    pub account_number: String,
    /// Their token.
    pub session: String,
}

impl Customer {
    /// The password of every customer.
    pub const PASSWORD: &str = "correct horse battery";

    /// Registers under a name that begins so and is new, and logs in.
    ///
    /// # Errors
    /// The bank refuses, or is not available for long.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the user may be registered.
    pub async fn new(visitor: &Visitor, name: &str) -> Result<Self> {
        let unique = Uuid::new_v4().simple().to_string();
        let username = format!("{name}-{}", unique.get(..12).unwrap_or_default());
        let who = json!({ "username": username, "password": Self::PASSWORD });
        let registered = patient(|| visitor.post("/api/auth/register").json(&who)).await;
        // One whose answer was lost is registered, and may not be again; the login tells.
        let login = patient(|| visitor.post("/api/auth/login").json(&who)).await;
        let login = login.or_else(|error| registered.and(Err(error)))?;
        let session = text(&login, "session")?;
        let me = patient(|| visitor.get("/api/account/me").session(&session)).await?;
        Ok(Self {
            visitor: visitor.clone(),
            id: text(&me, "id")?,
            account_number: text(&me, "account_number")?,
            username,
            session,
        })
    }

    /// The same customer at another gateway.
    #[must_use]
    pub fn at(&self, visitor: &Visitor) -> Self {
        Self {
            visitor: visitor.clone(),
            ..self.clone()
        }
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Ask {
        self.visitor.get(path).session(&self.session)
    }

    /// Asks for something to be done.
    pub fn post(&self, path: &str) -> Ask {
        self.visitor.post(path).session(&self.session)
    }

    /// Moves money to another under a key.
    pub fn transfer(&self, to: &Self, amount: i64, key: &str) -> Ask {
        self.post("/api/transfer/transfer")
            .key(key)
            .json(&json!({ "to_username": to.username, "amount": amount }))
    }

    /// What is on the account, in minor units.
    ///
    /// # Errors
    /// The bank does not answer, or refuses.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn balance(&self) -> Result<i64> {
        let answer = self.get("/api/account/balance").ok().await?;
        let balance = answer.get("balance").and_then(Value::as_i64);
        balance.context("the answer has no balance")
    }
}

/// Asks until the bank has time.
async fn patient(ask: impl Fn() -> Ask) -> Result<Value> {
    for _ in 0..TRIES {
        let answer = ask().send().await?;
        match answer.status {
            200 => return Ok(answer.body),
            429 | 503 | 504 => tokio::time::sleep(PAUSE).await,
            status => bail!("the bank answered {status}: {}", answer.detail()),
        }
    }
    bail!("the bank is too busy for a new customer")
}

fn text(body: &Value, field: &str) -> Result<String> {
    let text = body.get(field).and_then(Value::as_str);
    text.map(str::to_owned)
        .with_context(|| format!("the answer has no {field}"))
}
