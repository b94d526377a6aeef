//! Reads what bank and shop show, as their customers see it.

use super::{
    bank::{BankSeen, CustomerSeen, Entry, Totals},
    shop::{BuyerSeen, PurchaseSeen, ShopSeen, ToldSeen},
};
use crate::load::{bank::BankLoad, shop::ShopLoad};
use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// Customers whose books are read at a time.
const READING: usize = 4;

/// A page of one of the bank's lists.
#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    total: usize,
    page: u64,
    pages: u64,
}

/// Reads all of the bank.
///
/// # Errors
/// It does not answer, or not as it should.
///
/// # Cancel safety
/// Safe; it only reads.
pub(crate) async fn at_the_bank(load: &BankLoad<'_>) -> Result<BankSeen> {
    let customers = load.book().customers.len();
    let seen: Vec<CustomerSeen> = stream::iter(0..customers)
        .map(|number| customer(load, number))
        .buffered(READING)
        .try_collect()
        .await?;
    let totals = load.read(None, "/api/account/admin/stats").await?;
    let transfers: Vec<Value> = pages(load, None, "/api/account/admin/transfers?").await?;
    let is_pending = |transfer: &&Value| transfer.get("status").is_some_and(|it| it == "pending");
    Ok(BankSeen {
        customers: seen,
        totals: serde_json::from_value::<Totals>(totals)?,
        pending: transfers.iter().filter(is_pending).count(),
    })
}

async fn customer(load: &BankLoad<'_>, number: usize) -> Result<CustomerSeen> {
    let id = load.book().customers.get(number).map(|one| one.id.clone());
    let id = id.context("no such customer")?;
    let mut entries: Vec<Entry> = pages(load, Some(number), "/api/account/statement?").await?;
    entries.reverse();
    let told = format!("/api/account/admin/notifications?user_id={id}&");
    let told: Vec<Value> = pages(load, None, &told).await?;
    let told = told.iter().map(|one| text(one, "message")).collect();
    let balance = load.read(Some(number), "/api/account/balance").await?;
    let balance = balance.get("balance").and_then(Value::as_i64);
    Ok(CustomerSeen {
        balance: balance.context("no balance")?,
        entries,
        told,
    })
}

/// All pages of a list.
async fn pages<T: DeserializeOwned>(
    load: &BankLoad<'_>,
    of: Option<usize>,
    path: &str,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for number in 1_u64.. {
        let page = load
            .read(of, &format!("{path}page={number}&size=100"))
            .await?;
        let page: Page = serde_json::from_value(page)?;
        all.extend(page.items);
        if page.page >= page.pages {
            ensure!(
                all.len() == page.total,
                "{path}: it changed while it was read"
            );
            break;
        }
    }
    all.into_iter()
        .map(|one| serde_json::from_value(one).map_err(Into::into))
        .collect()
}

/// Reads all of the shop.
///
/// # Errors
/// It does not answer, or not as it should.
///
/// # Cancel safety
/// Safe; it only reads.
pub(crate) async fn at_the_shop(load: &ShopLoad<'_>) -> Result<ShopSeen> {
    let systems = load.systems();
    let (buyers, products) = {
        let book = load.book();
        (book.buyers.len(), book.products.clone())
    };
    let orders = systems.orders.first().context("no order service")?;
    let mut seen = ShopSeen::default();
    for number in 0..buyers {
        let me = load.read(&systems.users, number, "/me").await?;
        let list = load.list(orders, number, "/orders").await?;
        let told = load
            .list(&systems.notifications, number, "/notifications")
            .await?;
        seen.buyers.push(BuyerSeen {
            credit: minor(&me, "credit")?,
            purchases: read::<PurchaseSeen>(list)?,
            told: read::<ToldSeen>(told)?,
        });
    }
    for stocked in load.list(&systems.products, 0, "/products").await? {
        let id = stocked.get("id").and_then(Value::as_i64).context("no id")?;
        let quantity = stocked.get("quantity").and_then(Value::as_i64);
        seen.stock.insert(id, quantity.context("no quantity")?);
    }
    for id in products {
        let shown = load
            .read(&systems.products, 0, &format!("/products/{id}"))
            .await?;
        let quantity = shown.get("quantity").and_then(Value::as_i64);
        seen.cached.insert(id, quantity.context("no quantity")?);
    }
    Ok(seen)
}

fn read<T: DeserializeOwned>(list: Vec<Value>) -> Result<Vec<T>> {
    let list = list.into_iter().map(serde_json::from_value);
    Ok(list.collect::<Result<_, _>>()?)
}

fn text(of: &Value, field: &str) -> String {
    let text = of.get(field).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// An amount with a point, in minor units: by its digits.
fn minor(of: &Value, field: &str) -> Result<i64> {
    let amount = of.get(field).context("no amount")?.to_string();
    super::shop::minor(&amount).with_context(|| format!("{amount} is no amount"))
}
