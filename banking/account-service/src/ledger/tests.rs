use super::*;
use proptest::prelude::*;

fn account(number: &str, balance: i64) -> Account {
    Account {
        number: number.parse().unwrap(),
        balance,
        entries: 7,
    }
}

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

#[test]
fn a_transfer_leaves_one_account_and_arrives_on_the_other() {
    let posted = post(
        Some(account("111111", 100)),
        Some(account("222222", 5)),
        amount(100),
    );
    let [debit, credit] = posted.unwrap();
    assert_eq!((debit.side, credit.side), (Side::Debit, Side::Credit));
    let (paid, got) = (debit.account.unwrap(), credit.account.unwrap());
    assert_eq!((paid.balance, paid.entries), (0, 8));
    assert_eq!((got.balance, got.entries), (105, 8));
}

#[test]
fn one_unit_too_much_is_insufficient() {
    for to in [None, Some(account("222222", 0))] {
        let posted = post(Some(account("111111", 99)), to, amount(100));
        assert_eq!(posted, Err(Rejection::InsufficientBalance));
    }
}

#[test]
fn one_unit_more_than_can_be_counted_is_too_large() {
    let most = i64::MAX - 100;
    for from in [None, Some(account("222222", 1000))] {
        let posted = post(from.clone(), Some(account("111111", most)), amount(100));
        let [_, credit] = posted.unwrap();
        assert_eq!(credit.account.unwrap().balance, i64::MAX);
        let posted = post(from, Some(account("111111", most + 1)), amount(100));
        assert_eq!(posted, Err(Rejection::BalanceTooLarge));
    }
}

#[test]
fn who_can_not_pay_is_told_so_even_if_the_other_could_not_be_paid() {
    let posted = post(
        Some(account("111111", 0)),
        Some(account("222222", i64::MAX)),
        amount(1),
    );
    assert_eq!(posted, Err(Rejection::InsufficientBalance));
}

#[test]
fn postings_one_after_the_other_find_what_those_before_them_left() {
    let [ada, grace] = [account("111111", 100), account("222222", 0)];
    let (from, to) = (ada.number.clone(), grace.number.clone());
    let mut accounts: Accounts = [ada, grace, account("333333", 5)].into_iter().collect();
    assert!(
        accounts
            .post(Some(&from), Some(&to), amount(60))
            .unwrap()
            .is_ok()
    );
    let poor = accounts.post(Some(&from), Some(&to), amount(60)).unwrap();
    assert_eq!(poor, Err(Rejection::InsufficientBalance));
    let back = accounts.post(Some(&to), Some(&from), amount(60)).unwrap();
    assert_eq!(back.unwrap()[1].account.as_ref().unwrap().balance, 100);
    let unknown = "444444".parse().unwrap();
    assert_eq!(accounts.post(Some(&from), Some(&unknown), amount(1)), None);
    assert_eq!(accounts.post(Some(&unknown), None, amount(1)), None);
    let mut changed: Vec<_> = accounts.changed().collect();
    changed.sort_by_key(|account| account.number.clone());
    let changed: Vec<_> = changed.iter().map(|a| (a.balance, a.entries)).collect();
    assert_eq!(changed, [(100, 9), (0, 9)]);
}

/// The accounts of a small bank, and its outside at the end.
const PLACES: usize = 4;

prop_compose! {
    fn movement()(from in 0..PLACES, other in 1..PLACES, units in prop_oneof![
        1..200_i64,
        Just(Amount::MAX),
    ]) -> (usize, usize, Amount) {
        (from, (from + other) % PLACES, amount(units))
    }
}

proptest! {
    #[test]
    fn no_money_is_made_or_lost_and_nobody_owes(
        openings in prop::array::uniform3(prop_oneof![0..500_i64, i64::MAX - 200..=i64::MAX]),
        movements in prop::collection::vec(movement(), 0..80),
    ) {
        let mut inside: Vec<Account> = ["111111", "222222", "333333"]
            .iter()
            .zip(openings)
            .map(|(number, balance)| account(number, balance))
            .collect();
        let mut outside = 0_i128;
        let total = |inside: &[Account]| inside.iter().map(|a| i128::from(a.balance)).sum::<i128>();
        let began_with = total(&inside);
        for (from, to, amount) in movements {
            let before = inside.clone();
            let (payer, payee) = (inside.get(from).cloned(), inside.get(to).cloned());
            let units = i128::from(amount.minor_units());
            match post(payer, payee, amount) {
                Ok(entries) => {
                    let moved = entries.iter().map(|e| e.side.sign() * e.amount.minor_units());
                    prop_assert_eq!(moved.sum::<i64>(), 0, "two sides sum to zero");
                    for (place, entry) in [from, to].into_iter().zip(entries) {
                        prop_assert_eq!(entry.account.is_none(), place == inside.len());
                        match entry.account {
                            Some(after) => {
                                prop_assert_eq!(after.entries, before[place].entries + 1);
                                inside[place] = after;
                            }
                            None => outside += units * i128::from(entry.side.sign()),
                        }
                    }
                }
                Err(Rejection::InsufficientBalance) => {
                    prop_assert!(i128::from(before[from].balance) < units);
                }
                Err(Rejection::BalanceTooLarge) => {
                    prop_assert!(i128::from(before[to].balance) + units > i128::from(i64::MAX));
                }
            }
            prop_assert!(inside.iter().all(|account| account.balance >= 0));
            prop_assert_eq!(total(&inside) + outside, began_with);
        }
    }
}
