//! A customer, as the gateway sees one.

use super::summary::Outcome;
use anyhow::{Context as _, bail};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A transfer without a verdict is asked for again this often, with a pause between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Someone with an account and a session.
pub(super) struct Customer {
    http: Client,
    url: Url,
    username: String,
    session: String,
}

impl Customer {
    /// Registers and logs in.
    pub(super) async fn register(
        http: &Client,
        url: &Url,
        username: String,
        password: &str,
    ) -> anyhow::Result<Self> {
        let who = json!({ "username": username, "password": password });
        let post = |path: &str| Ok::<_, anyhow::Error>(http.post(url.join(path)?).json(&who));
        let _: Value = read(post("/api/auth/register")?)
            .await
            .context("can't register")?;
        let login: Value = read(post("/api/auth/login")?)
            .await
            .context("can't log in")?;
        let session = login.get("session").and_then(Value::as_str);
        Ok(Self {
            http: http.clone(),
            url: url.clone(),
            username,
            session: session.context("the login has no session")?.to_owned(),
        })
    }

    /// What is on the account, in minor units.
    pub(super) async fn balance(&self) -> anyhow::Result<i64> {
        let url = self.url.join("/api/account/balance")?;
        let asked = self.http.get(url).header("X-Session", &self.session);
        let answer: Value = read(asked).await.context("can't read a balance")?;
        let balance = answer.get("balance").and_then(Value::as_i64);
        balance.context("the answer has no balance")
    }

    /// Moves money to another, and asks again with the same key until there is a verdict.
    pub(super) async fn transfer(&self, to: &Self, amount: i64) -> Outcome {
        let key = Uuid::now_v7().to_string();
        for _ in 0..TRIES {
            if let Some(verdict) = self.try_to_transfer(to, amount, &key).await {
                return verdict;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Outcome::Failed
    }

    async fn try_to_transfer(&self, to: &Self, amount: i64, key: &str) -> Option<Outcome> {
        let url = self.url.join("/api/transfer/transfer").ok()?;
        let asked = self
            .http
            .post(url)
            .header("X-Session", &self.session)
            .header("Idempotency-Key", key)
            .json(&json!({ "to_username": to.username, "amount": amount }));
        match asked.send().await.ok()?.status() {
            StatusCode::OK => Some(Outcome::Made),
            StatusCode::BAD_REQUEST => Some(Outcome::Rejected),
            // It is not known, or was not tried.
            status if status.is_server_error() => None,
            _ => Some(Outcome::Failed),
        }
    }
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<T> {
    let answer: Response = request.send().await.context("the bank can't be reached")?;
    let status = answer.status();
    if !status.is_success() {
        let body: Value = answer.json().await.unwrap_or_default();
        let detail = body.get("detail").and_then(Value::as_str);
        bail!(
            "the bank answered {status}: {}",
            detail.unwrap_or("without a reason")
        );
    }
    answer
        .json()
        .await
        .context("the bank's answer can't be read")
}
