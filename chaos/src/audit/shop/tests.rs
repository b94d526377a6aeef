use super::*;
use crate::load::asking::{Verdict, Word};

const PRODUCT: i64 = 3;

fn purchase(quantity: i64, word: Word) -> Purchase {
    let mut verdict = Verdict::default();
    verdict.hear(word);
    Purchase::new(0, PRODUCT, quantity, verdict)
}

/// One buyer, who bought a piece, was refused two, and does not know of three.
fn right() -> (ShopBook, ShopSeen) {
    let mut book = ShopBook::default();
    book.products.push(PRODUCT);
    book.purchases = vec![
        purchase(1, Word::Done),
        purchase(2, Word::Never),
        purchase(3, Word::Nothing),
    ];
    let mut seen = ShopSeen {
        buyers: vec![BuyerSeen {
            credit: CREDIT,
            ..BuyerSeen::default()
        }],
        ..ShopSeen::default()
    };
    for stock in [&mut seen.stock, &mut seen.cached] {
        stock.insert(PRODUCT, STOCK);
    }
    buy(&mut seen, 1, "confirmed");
    (book, seen)
}

/// Makes an order at 0.05 a piece, and everything that follows from it.
fn buy(seen: &mut ShopSeen, quantity: i64, status: &str) {
    let buyer = &mut seen.buyers[0];
    let id = i64::try_from(buyer.purchases.len()).unwrap() + 1;
    if status == "confirmed" {
        buyer.credit -= 5 * quantity;
        for stock in [&mut seen.stock, &mut seen.cached] {
            *stock.get_mut(&PRODUCT).unwrap() -= quantity;
        }
    }
    buyer.purchases.push(PurchaseSeen {
        id,
        product_id: PRODUCT,
        quantity,
        total_price: format!("0.{:02}", 5 * quantity).parse().unwrap(),
        status: status.to_owned(),
    });
    let status = "sent".to_owned();
    buyer.told.push(ToldSeen {
        order_id: id,
        status,
    });
}

/// The kinds of what is wrong, each once.
fn kinds(book: &ShopBook, seen: &ShopSeen) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for violation in audit(book, seen) {
        if !kinds.contains(&violation.kind) {
            kinds.push(violation.kind);
        }
    }
    kinds
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    let (mut book, mut seen) = right();
    assert_eq!(audit(&book, &seen), []);
    // What nobody knows may have been bought, and what was asked to be cancelled is.
    buy(&mut seen, 3, "confirmed");
    book.purchases.push(purchase(4, Word::Done));
    book.purchases[3].cancelled = Some(Fate::Done);
    buy(&mut seen, 4, "cancelled");
    assert_eq!(audit(&book, &seen), []);
}

#[test]
fn orders_that_are_lost_twice_there_refused_or_nobodys_are_noticed() {
    let (mut book, seen) = right();
    book.purchases.push(purchase(4, Word::Done));
    assert_eq!(kinds(&book, &seen), [Kind::Lost]);

    for (quantity, kind) in [(1, Kind::Duplicated), (2, Kind::Undead), (9, Kind::Nobodys)] {
        let (book, mut seen) = right();
        buy(&mut seen, quantity, "confirmed");
        assert_eq!(kinds(&book, &seen), [kind]);
    }
}

#[test]
fn an_order_that_was_not_cancelled_as_was_said_is_noticed() {
    let (mut book, seen) = right();
    book.purchases[0].cancelled = Some(Fate::Done);
    assert_eq!(kinds(&book, &seen), [Kind::Lost]);

    let (mut book, mut seen) = right();
    book.purchases.push(purchase(4, Word::Done));
    buy(&mut seen, 4, "cancelled");
    assert_eq!(kinds(&book, &seen), [Kind::Undead]);
}

#[test]
fn stock_that_does_not_add_up_is_noticed_also_in_the_cache() {
    let (book, mut seen) = right();
    *seen.stock.get_mut(&PRODUCT).unwrap() += 1;
    assert_eq!(kinds(&book, &seen), [Kind::Sums]);
    let (book, mut seen) = right();
    seen.cached.insert(PRODUCT, STOCK);
    assert_eq!(kinds(&book, &seen), [Kind::Sums]);
}

#[test]
fn a_wallet_that_does_not_add_up_is_noticed() {
    let (book, mut seen) = right();
    seen.buyers[0].credit -= 1;
    assert_eq!(kinds(&book, &seen), [Kind::Sums]);
}

#[test]
fn an_order_that_nobody_was_told_of_or_twice_is_noticed() {
    let (book, mut seen) = right();
    let told = seen.buyers[0].told.pop().unwrap();
    assert_eq!(kinds(&book, &seen), [Kind::Told]);
    seen.buyers[0].told.extend([told.clone(), told]);
    assert_eq!(kinds(&book, &seen), [Kind::Told]);
}

#[test]
fn an_order_that_is_not_ended_is_noticed() {
    let (book, mut seen) = right();
    buy(&mut seen, 3, "pending");
    assert_eq!(kinds(&book, &seen), [Kind::Ill]);
}

#[test]
fn amounts_are_read_by_their_digits() {
    for (text, expected) in [
        ("19.99", Some(1_999)),
        ("0.1", Some(10)),
        ("7", Some(700)),
        ("1000000.0", Some(100_000_000)),
        ("x", None),
    ] {
        assert_eq!(minor(text), expected, "{text}");
    }
}
