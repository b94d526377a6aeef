//! Someone at the bank's HTTP gateway.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Method, RequestBuilder, Url, header::HeaderMap};
use serde_json::Value;
use std::time::Duration;

/// The bank promises to answer sooner: the longest budget of its calls is 10 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Asks a bank over HTTP. Clones share connections.
#[derive(Debug, Clone)]
pub struct Visitor {
    http: Client,
    url: Url,
}

impl Visitor {
    /// A visitor to the gateway at `url`.
    ///
    /// # Errors
    /// The system gives no HTTP client.
    pub fn new(url: Url) -> Result<Self> {
        let http = Client::builder().timeout(ANSWERED_WITHIN).build()?;
        Ok(Self { http, url })
    }

    /// Where the gateway is.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    /// Asks for something to be done.
    pub fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, path)
    }

    /// Asks by any method.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        // The path begins with a slash, and the address ends with one.
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        Ask(self.http.request(method, url))
    }
}

/// A request in the making.
#[derive(Debug)]
#[must_use = "it is not sent yet"]
pub struct Ask(RequestBuilder);

impl Ask {
    /// With a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// In a session.
    pub fn session(self, token: &str) -> Self {
        self.header("X-Session", token)
    }

    /// Under an idempotency key.
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// With any body.
    pub fn body(self, body: impl Into<String>) -> Self {
        Self(self.0.body(body.into()))
    }

    /// Sends it.
    ///
    /// # Errors
    /// The gateway can't be reached, the connection is lost, or there is no answer in 30 s.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may be carried out or not.
    pub async fn send(self) -> Result<Answer> {
        let answer = self.0.send().await.context("no answer")?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.context("half an answer")?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer {
            status,
            headers,
            body,
            text,
        })
    }

    /// Sends it, and returns the body of a success.
    ///
    /// # Errors
    /// As [`send`](Self::send), or the status is another than 200.
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn ok(self) -> Result<Value> {
        let answer = self.send().await?;
        ensure!(
            answer.status == 200,
            "the bank answered {}: {}",
            answer.status,
            answer.detail()
        );
        Ok(answer.body)
    }
}

/// What the gateway answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null if it is not JSON.
    pub body: Value,
    /// Its body, as it came.
    pub text: String,
}

impl Answer {
    /// What an error says; nothing if it is none.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.body
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A header; nothing if there is none or it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}
