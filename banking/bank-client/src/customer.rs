//! A user of the bank, with a session.

use crate::{Answer, Client, Request, patience::until_ready};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// A bank that is too busy to check passwords is asked again for so long.
const REGISTERED_WITHIN: Duration = Duration::from_secs(60);

/// A user of the bank, logged in. `Debug` does not show the token.
#[derive(Clone)]
pub struct Customer {
    /// Their way to the bank.
    pub client: Client,
    /// Their name.
    pub username: String,
    /// Their id.
    pub id: String,
    /// Their account.
    pub account_number: String,
    /// Their token; a secret.
    pub session: String,
}

impl Customer {
    /// Registers a user and logs in.
    ///
    /// # Errors
    /// The bank can't be reached or refuses, or is not available for a minute.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the user may be registered.
    pub async fn register(client: &Client, username: String, password: &str) -> Result<Self> {
        let credentials = json!({ "username": username, "password": password });
        let post = async |path: &str| {
            let request = || Ok(client.post(path).json(&credentials));
            until_ready(REGISTERED_WITHIN, request)
                .await
                .and_then(Answer::ok)
        };
        let registered = post("/api/auth/register").await;
        // One whose answer was lost is registered, and may not be again; the login tells.
        let login = post("/api/auth/login").await;
        let login = login.or_else(|error| registered.and(Err(error)));
        let session = text(&login.context("can't register")?, "session")?;
        let me = || Ok(client.get("/api/account/me").session(&session));
        let me = until_ready(REGISTERED_WITHIN, me).await?.ok()?;
        Ok(Self {
            client: client.clone(),
            id: text(&me, "id")?,
            account_number: text(&me, "account_number")?,
            username,
            session,
        })
    }

    /// The same customer at another gateway.
    #[must_use]
    pub fn at(&self, client: &Client) -> Self {
        Self {
            client: client.clone(),
            ..self.clone()
        }
    }

    /// A request to read something.
    pub fn get(&self, path: &str) -> Request {
        self.client.get(path).session(&self.session)
    }

    /// A request to do something.
    pub fn post(&self, path: &str) -> Request {
        self.client.post(path).session(&self.session)
    }

    /// A request to move money to another under a key.
    pub fn transfer(&self, to: &Self, amount: i64, key: &str) -> Request {
        self.transfer_to(&to.username, amount, key)
    }

    /// The same, to whoever has this name.
    pub fn transfer_to(&self, username: &str, amount: i64, key: &str) -> Request {
        self.post("/api/transfer/transfer")
            .key(key)
            .json(&json!({ "to_username": username, "amount": amount }))
    }

    /// Reads what is on the account, in minor units.
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

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customer")
            .field("client", &self.client)
            .field("username", &self.username)
            .field("id", &self.id)
            .field("account_number", &self.account_number)
            .finish_non_exhaustive()
    }
}

fn text(body: &Value, field: &str) -> Result<String> {
    let text = body.get(field).and_then(Value::as_str);
    text.map(str::to_owned)
        .with_context(|| format!("the answer has no {field}"))
}
