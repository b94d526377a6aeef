//! Somebody who asks the shop over HTTP.

use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use shop::ServiceName::{self, UserService};
use std::{collections::BTreeMap, net::SocketAddr};

/// A client, of one user or of nobody.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) addresses: BTreeMap<ServiceName, SocketAddr>,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `X-Cache`.
    pub(crate) cache: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer of this status.
    #[track_caller]
    pub(crate) fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

impl Client {
    pub(crate) fn new(addresses: BTreeMap<ServiceName, SocketAddr>) -> Self {
        Self {
            http: reqwest::Client::new(),
            addresses,
            token: None,
        }
    }

    /// The same client, of a user who is registered now.
    pub(crate) async fn user(&self, username: &str) -> Self {
        let password = "correct horse";
        let wanted = json!({ "username": username, "password": password });
        self.post(UserService, "/register", wanted).await.with(201);
        let token = self.login(username, password).await.with(200);
        assert_eq!(token["token_type"], "bearer");
        let token = token["access_token"].as_str().map(str::to_owned);
        Self {
            token: Some(token.unwrap()),
            ..self.clone()
        }
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> Answer {
        let form = format!(
            "username={username}&password={}",
            password.replace(' ', "+")
        );
        let request = self.request(Method::POST, UserService, "/login");
        let kind = "application/x-www-form-urlencoded";
        answer(request.header(header::CONTENT_TYPE, kind).body(form)).await
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same user, who knows where that client asks.
    pub(crate) fn at(&self, client: &Self) -> Self {
        Self {
            addresses: client.addresses.clone(),
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, service: ServiceName, path: &str) -> Answer {
        answer(self.request(Method::GET, service, path)).await
    }

    pub(crate) async fn post(&self, service: ServiceName, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, service, path).json(&body)).await
    }

    pub(crate) async fn put(&self, service: ServiceName, path: &str, body: Value) -> Answer {
        answer(self.request(Method::PUT, service, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, service: ServiceName, path: &str) -> Answer {
        answer(self.request(Method::DELETE, service, path)).await
    }

    /// A request that is not answered any more if the service dies.
    pub(crate) fn request(
        &self,
        method: Method,
        service: ServiceName,
        path: &str,
    ) -> RequestBuilder {
        let address = self.addresses[&service];
        let request = self.http.request(method, format!("http://{address}{path}"));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A product of this user's.
    pub(crate) async fn product(&self, price: Value, quantity: i64) -> i64 {
        let product = json!({ "name": "pen", "price": price, "quantity": quantity });
        let made = self.post(ServiceName::ProductService, "/products", product);
        made.await.with(201)["id"].as_i64().unwrap()
    }

    /// The pieces that are left of a product.
    pub(crate) async fn left(&self, product: i64) -> i64 {
        let path = format!("/products/{product}");
        let product = self.get(ServiceName::ProductService, &path).await;
        product.with(200)["quantity"].as_i64().unwrap()
    }

    /// What is left in the wallet, as it is written.
    pub(crate) async fn credit(&self) -> String {
        self.get(UserService, "/me").await.with(200)["credit"].to_string()
    }

    pub(crate) async fn order(&self, product: i64, quantity: i64) -> Answer {
        let order = json!({ "product_id": product, "quantity": quantity });
        self.post(ServiceName::OrderService, "/orders", order).await
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let cache = response.headers().get("x-cache");
    let cache = cache.map(|value| value.to_str().unwrap().to_owned());
    let body = response.text().await.unwrap();
    Answer {
        status,
        cache,
        body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
    }
}
