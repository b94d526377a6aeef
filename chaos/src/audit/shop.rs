//! What must be true of the shop.

use super::{Found, Kind, Violation};
use crate::load::{
    asking::Fate,
    shop::{Purchase, STOCK, ShopBook},
};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// What is in the wallet of a new user, in minor units.
const CREDIT: i64 = 100_000_000;

/// All that the shop shows.
#[derive(Debug, Default)]
pub(crate) struct ShopSeen {
    /// In the order of the book's buyers.
    pub(crate) buyers: Vec<BuyerSeen>,
    /// The pieces that are left of each product.
    pub(crate) stock: BTreeMap<i64, i64>,
    /// The same, as those see it who ask for one product, by the cache.
    pub(crate) cached: BTreeMap<i64, i64>,
}

/// What it shows to one buyer.
#[derive(Debug, Default)]
pub(crate) struct BuyerSeen {
    /// In minor units.
    pub(crate) credit: i64,
    pub(crate) purchases: Vec<PurchaseSeen>,
    pub(crate) told: Vec<ToldSeen>,
}

/// An order.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PurchaseSeen {
    pub(crate) id: i64,
    pub(crate) product_id: i64,
    pub(crate) quantity: i64,
    pub(crate) total_price: serde_json::Number,
    pub(crate) status: String,
}

/// What a buyer was told of an order.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ToldSeen {
    pub(crate) order_id: i64,
    pub(crate) status: String,
}

/// Compares what the shop shows with what was asked of it, and said.
pub(crate) fn audit(book: &ShopBook, seen: &ShopSeen) -> Vec<Violation> {
    let mut found = Found::default();
    for odd in &book.odd {
        found.add(Kind::Odd, odd);
    }
    let mut fates = book.purchases.iter().map(|one| one.verdict.fate());
    if !fates.any(|fate| fate == Fate::Done) {
        found.add(Kind::Ill, "nothing was bought in the shop");
    }
    let mut wanted: HashMap<(usize, i64, i64), (usize, Vec<&PurchaseSeen>)> = (0_usize..)
        .zip(&book.purchases)
        .map(|(number, one)| ((one.by, one.product, one.quantity), (number, Vec::new())))
        .collect();
    let mut sold: BTreeMap<i64, i64> = BTreeMap::new();
    for (number, buyer) in seen.buyers.iter().enumerate() {
        let mut paid = 0;
        for purchase in &buyer.purchases {
            let is_sold = matches!(
                purchase.status.as_str(),
                "confirmed" | "shipped" | "delivered"
            );
            if is_sold {
                *sold.entry(purchase.product_id).or_default() += purchase.quantity;
                paid += minor(&purchase.total_price.to_string()).unwrap_or_default();
            } else if purchase.status != "cancelled" {
                found.add(Kind::Ill, format_args!("not ended: {purchase:?}"));
            }
            match wanted.get_mut(&(number, purchase.product_id, purchase.quantity)) {
                Some((_, there)) => there.push(purchase),
                None => found.add(Kind::Nobodys, format_args!("{purchase:?}")),
            }
        }
        if buyer.credit != CREDIT - paid {
            let credit = buyer.credit;
            let what = format!("buyer {number} has {credit} of {CREDIT}, and bought for {paid}");
            found.add(Kind::Sums, what);
        }
        notifications(&mut found, number, buyer);
    }
    for (number, there) in wanted.into_values() {
        if let Some(purchase) = book.purchases.get(number) {
            judge(&mut found, number, purchase, &there);
        }
    }
    for product in &book.products {
        let left = STOCK - sold.get(product).copied().unwrap_or_default();
        for (stock, whose) in [
            (&seen.stock, "there are"),
            (&seen.cached, "is said to have"),
        ] {
            let shown = stock.get(product).copied();
            if shown != Some(left) {
                let what = format!("product {product}: {whose} {shown:?}, and {left} are left");
                found.add(Kind::Sums, what);
            }
        }
    }
    found.0
}

/// Says what is wrong with a purchase that is there so often.
fn judge(found: &mut Found, number: usize, purchase: &Purchase, there: &[&PurchaseSeen]) {
    let fate = purchase.verdict.fate();
    let is_cancelled = there.iter().any(|one| one.status == "cancelled");
    let kind = match (fate, there.len()) {
        (_, 2..) => Kind::Duplicated,
        (Fate::Done, 0) => Kind::Lost,
        (Fate::Refused, 1) => Kind::Undead,
        (Fate::Done, 1) if purchase.cancelled == Some(Fate::Done) && !is_cancelled => Kind::Lost,
        _ if is_cancelled && !may_be_cancelled(purchase) => Kind::Undead,
        _ => return,
    };
    let (by, product, quantity) = (purchase.by, purchase.product, purchase.quantity);
    let cancelled = purchase.cancelled;
    let what = format!(
        "purchase {number}, {quantity} of product {product} by buyer {by}, {fate:?}, \
         cancelled: {cancelled:?}: there are {there:?}"
    );
    found.add(kind, what);
}

fn may_be_cancelled(purchase: &Purchase) -> bool {
    matches!(purchase.cancelled, Some(Fate::Done | Fate::Unknown))
}

/// Compares what a buyer was told with their orders: once of each, also of those that were cancelled
/// later.
fn notifications(found: &mut Found, number: usize, buyer: &BuyerSeen) {
    let expected = buyer.purchases.iter().map(|purchase| purchase.id);
    let told = buyer.told.iter().map(|told| told.order_id);
    let whose = format!("the orders of which buyer {number} was told");
    found.compare((Kind::Told, &whose), expected, told);
    for told in buyer.told.iter().filter(|told| told.status == "pending") {
        found.add(Kind::Told, format_args!("not told yet: {told:?}"));
    }
}

/// An amount with a point, in minor units: by its digits.
pub(super) fn minor(amount: &str) -> Option<i64> {
    let (units, hundredths) = amount.split_once('.').unwrap_or((amount, "0"));
    let scale = if hundredths.len() == 1 { 10 } else { 1 };
    let hundredths = hundredths.get(..hundredths.len().min(2))?;
    Some(units.parse::<i64>().ok()? * 100 + hundredths.parse::<i64>().ok()? * scale)
}

#[cfg(test)]
mod tests;
