use super::*;
use crate::load::asking::{Verdict, Word};
use bank_client::{Client, Customer};

fn customer(name: &str) -> Customer {
    Customer {
        client: Client::new("http://127.0.0.1:1".parse().unwrap()).unwrap(),
        username: name.to_owned(),
        id: String::new(),
        account_number: String::new(),
        session: String::new(),
    }
}

fn order(by: usize, act: Act, amount: i64, word: Word) -> Order {
    let mut verdict = Verdict::default();
    verdict.hear(word);
    Order::new(by, act, amount, verdict)
}

/// Ada and Bob. Ada paid 500 in, paid 100 to Bob, and was refused a withdrawal; nobody knows what
/// became of a deposit of Bob's.
fn right() -> (BankBook, BankSeen) {
    let mut book = BankBook::default();
    book.customers.extend(["ada", "bob"].map(customer));
    book.orders = vec![
        order(0, Act::Deposit, 500, Word::Done),
        order(0, Act::Transfer(1), 100, Word::Done),
        order(0, Act::Withdraw, 7_000_000, Word::Never),
        order(1, Act::Deposit, 501, Word::Nothing),
    ];
    let mut seen = BankSeen {
        customers: vec![CustomerSeen::default(), CustomerSeen::default()],
        ..BankSeen::default()
    };
    seen.totals.total_users = 2;
    for number in 0..2 {
        enter(&mut seen, number, "opening", OPENING, None);
    }
    enter(&mut seen, 0, "deposit", 500, None);
    transfer(&mut seen);
    (book, seen)
}

fn transfer(seen: &mut BankSeen) {
    enter(seen, 0, "transfer", -100, Some("bob"));
    enter(seen, 1, "transfer", 100, Some("ada"));
}

/// Makes an entry, and everything that follows from it.
fn enter(seen: &mut BankSeen, of: usize, kind: &str, amount: i64, other: Option<&str>) {
    let customer = &mut seen.customers[of];
    customer.balance += amount;
    seen.totals.total_balance += amount;
    let size = format!("{}.{:02}", amount.abs() / 100, amount.abs() % 100);
    customer.told.extend(match (kind, other) {
        ("deposit", _) => Some(format!("Deposit of {size} completed. New balance: 1.00")),
        ("withdrawal", _) => Some(format!("Withdrawal of {size} completed. New balance: 1.00")),
        (_, Some(other)) if amount < 0 => Some(format!("You sent {size} to {other}")),
        (_, Some(other)) => Some(format!("You received {size} from {other}")),
        _ => None,
    });
    customer.entries.push(Entry {
        number: i64::try_from(customer.entries.len()).unwrap() + 1,
        kind: kind.to_owned(),
        amount,
        balance: customer.balance,
        counterparty_username: other.map(str::to_owned),
        reference: other.map(|_| "order 1".to_owned()),
    });
}

/// The kinds of what is wrong, each once.
fn kinds(book: &BankBook, seen: &BankSeen) -> Vec<Kind> {
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
    let (book, mut seen) = right();
    assert_eq!(audit(&book, &seen), []);
    // What nobody knows may have been done.
    enter(&mut seen, 1, "deposit", 501, None);
    assert_eq!(audit(&book, &seen), []);
}

#[test]
fn what_was_said_to_be_done_and_is_not_there_is_lost() {
    let (mut book, seen) = right();
    book.orders.push(order(1, Act::Withdraw, 100, Word::Done));
    assert_eq!(kinds(&book, &seen), [Kind::Lost]);
}

#[test]
fn what_is_there_twice_is_duplicated() {
    let (book, mut seen) = right();
    enter(&mut seen, 0, "deposit", 500, None);
    assert_eq!(kinds(&book, &seen), [Kind::Duplicated]);
    let (book, mut seen) = right();
    transfer(&mut seen);
    assert_eq!(kinds(&book, &seen), [Kind::Duplicated]);
    // What nobody knows is there once at the most, too.
    let (book, mut seen) = right();
    enter(&mut seen, 1, "deposit", 501, None);
    enter(&mut seen, 1, "deposit", 501, None);
    assert_eq!(kinds(&book, &seen), [Kind::Duplicated]);
}

#[test]
fn what_was_refused_and_is_there_is_noticed() {
    let (mut book, mut seen) = right();
    book.orders.push(order(1, Act::Deposit, 502, Word::Never));
    enter(&mut seen, 1, "deposit", 502, None);
    assert_eq!(kinds(&book, &seen), [Kind::Undead]);
}

#[test]
fn half_a_transfer_is_noticed() {
    let (book, mut seen) = right();
    let half = seen.customers[1].entries.pop().unwrap();
    seen.customers[1].balance -= half.amount;
    seen.totals.total_balance -= half.amount;
    let kinds = kinds(&book, &seen);
    assert!(
        kinds.contains(&Kind::Lost) && kinds.contains(&Kind::Told),
        "{kinds:?}"
    );
}

#[test]
fn what_nobody_asked_for_is_noticed() {
    let (book, mut seen) = right();
    enter(&mut seen, 1, "deposit", 999, None);
    assert_eq!(kinds(&book, &seen), [Kind::Nobodys]);
}

#[test]
fn money_that_is_on_no_statement_is_noticed() {
    let (book, mut seen) = right();
    seen.customers[0].balance += 1;
    seen.totals.total_balance += 1;
    assert_eq!(kinds(&book, &seen), [Kind::Sums]);
    let (book, mut seen) = right();
    seen.totals.total_balance -= 1;
    assert_eq!(kinds(&book, &seen), [Kind::Sums]);
}

#[test]
fn who_was_told_twice_or_not_at_all_is_noticed() {
    let (book, mut seen) = right();
    let told = seen.customers[0].told.pop().unwrap();
    assert_eq!(kinds(&book, &seen), [Kind::Told]);
    seen.customers[0].told.extend([told.clone(), told]);
    assert_eq!(kinds(&book, &seen), [Kind::Told]);
}

#[test]
fn an_odd_answer_and_a_transfer_without_a_verdict_are_noticed() {
    let (mut book, mut seen) = right();
    book.odd
        .push("it is said to be done and not done".to_owned());
    seen.pending = 1;
    assert_eq!(kinds(&book, &seen), [Kind::Odd, Kind::Ill]);
}

#[test]
fn a_run_in_which_nothing_was_done_shows_nothing() {
    let mut book = BankBook::default();
    book.customers.push(customer("ada"));
    let mut seen = BankSeen {
        customers: vec![CustomerSeen::default()],
        ..BankSeen::default()
    };
    seen.totals.total_users = 1;
    enter(&mut seen, 0, "opening", OPENING, None);
    assert_eq!(kinds(&book, &seen), [Kind::Ill]);
}
