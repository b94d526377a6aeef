//! One gateway of the bank, asked over HTTP.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, RequestBuilder, Url, header::HeaderMap};
use serde_json::Value;
use std::time::Duration;

/// The bank promises to answer sooner: the longest timeout of its calls is 10 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// A client of one gateway. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
}

impl Client {
    /// A client of the gateway at `url`.
    ///
    /// # Errors
    /// The system gives no HTTP client.
    pub fn new(url: Url) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(ANSWERED_WITHIN)
            .build()?;
        Ok(Self { http, url })
    }

    /// The address of the gateway.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// A request to read something.
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// A request to do something.
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    /// A request to change something.
    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    /// A request by any method.
    pub fn request(&self, method: Method, path: &str) -> Request {
        // The path begins with a slash, and the address ends with one.
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        Request(self.http.request(method, url))
    }
}

/// A request in the making.
#[derive(Debug)]
#[must_use = "it is not sent yet"]
pub struct Request(RequestBuilder);

impl Request {
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
        self.send().await?.ok()
    }
}

/// An answer of the gateway.
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
    /// The body of a success.
    ///
    /// # Errors
    /// The status is another than 200.
    pub fn ok(self) -> Result<Value> {
        ensure!(
            self.status == 200,
            "the bank answered {}: {}",
            self.status,
            self.detail()
        );
        Ok(self.body)
    }

    /// `true` if nothing is known of what was asked for, and to ask again later may tell (429, 503,
    /// 504).
    #[must_use]
    pub fn asks_for_patience(&self) -> bool {
        matches!(self.status, 429 | 503 | 504)
    }

    /// The sentence of an error; empty if it is none.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.body
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A header; empty if there is none or it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}
