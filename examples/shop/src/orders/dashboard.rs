//! `/dashboard`: what several services know of a user, asked at the same time. A part whose service
//! is away is marked, and the others are shown. For articles nobody is asked: what is told of them is
//! kept here.

use super::{
    articles::Articles,
    order::{Order, Shown},
    routes::State,
};
use crate::{
    contracts::{Stock, Told},
    http::{Page, Problem},
    price::Price,
    tokens::User,
};
use axum::{Json, extract::State as Extract};
use replybus::CallError;
use serde::Serialize;
use std::{error::Error, time::Duration};
use tokio::try_join;

/// Time for each service to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The orders, and the articles, that are shown.
const LATEST: Page = Page { skip: 0, limit: 5 };

#[derive(Serialize)]
pub(super) struct Dashboard {
    user: Part<Account>,
    orders: Part<Orders>,
    products: Part<Stock>,
    notifications: Part<Told>,
    articles: Part<Articles>,
    /// The parts that are not there.
    failed: Vec<&'static str>,
}

#[derive(Serialize)]
struct Account {
    id: i64,
    username: String,
    credit: Price,
}

#[derive(Serialize)]
struct Orders {
    count: i64,
    total: Price,
    latest: Vec<Shown>,
}

/// What a service said, or that it did not.
#[derive(Serialize)]
#[serde(untagged)]
enum Part<T> {
    Here(T),
    Away { error: &'static str },
}

impl<T> Part<T> {
    fn of<E: Error + 'static>(name: &'static str, answer: Result<T, E>) -> Self {
        answer.map_or_else(
            |error| {
                let error: &dyn Error = &error;
                tracing::warn!(name, error, "a part of a dashboard is missing");
                let error = "the service is not available";
                Self::Away { error }
            },
            Self::Here,
        )
    }

    fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

pub(super) async fn show(
    Extract(state): Extract<State>,
    user: User,
) -> Result<Json<Dashboard>, Problem> {
    let orders = async {
        let (totals, latest) = (
            state.table.totals(user.id),
            state.table.list(user.id, LATEST),
        );
        let ((count, total), latest) = try_join!(totals, latest)?;
        Ok::<_, sqlx::Error>(Orders {
            count,
            total: Price::of_minor(total),
            latest: latest.into_iter().map(Order::shown).collect(),
        })
    };
    let profile = async {
        let asked = state.saga.users.profile(user.id).timeout(ANSWER_WITHIN);
        let profile = asked.await?.map(|profile| Account {
            id: profile.id,
            username: profile.username,
            credit: Price::of_minor(profile.credit),
        });
        profile.ok_or(CallError::Handler(crate::contracts::Unavailable))
    };
    let stock = state.saga.products.stock().timeout(ANSWER_WITHIN);
    let told = state.notifications.count(user.id).timeout(ANSWER_WITHIN);
    let articles = state.articles.latest(LATEST.limit);
    let (profile, orders, stock, told, articles) = tokio::join!(
        profile,
        orders,
        stock.into_future(),
        told.into_future(),
        articles,
    );
    let mut dashboard = Dashboard {
        user: Part::of("user", profile),
        orders: Part::of("orders", orders),
        products: Part::of("products", stock),
        notifications: Part::of("notifications", told),
        articles: Part::of("articles", articles),
        failed: Vec::new(),
    };
    let parts = [
        ("user", dashboard.user.is_away()),
        ("orders", dashboard.orders.is_away()),
        ("products", dashboard.products.is_away()),
        ("notifications", dashboard.notifications.is_away()),
        ("articles", dashboard.articles.is_away()),
    ];
    let away = parts.into_iter().filter(|(_, is_away)| *is_away);
    dashboard.failed = away.map(|(name, _)| name).collect();
    Ok(Json(dashboard))
}
