//! What the administrator sees.

use crate::branch::{Branch, Customer, PATIENCE, refusal};
use contracts::{
    PageRequest, UserId,
    account::{AccountError, AccountTotals, OPENING_BALANCE},
};
use replybus::{Call, client::Outcome};

fn as_admin<R: Outcome>(branch: &Branch, call: Call<R>) -> Call<R> {
    let (name, pass) = branch
        .platform
        .identity
        .of_program("api-producer")
        .admin_pass();
    call.metadata(name, pass).timeout(PATIENCE)
}

async fn totals_are_of_all_accounts(branch: &Branch) {
    let [ada, _]: [Customer; 2] = branch.customers().await;
    ada.withdraw(1, "out").await.unwrap();
    let totals = as_admin(branch, branch.accounts.admin_totals()).await;
    let expected = AccountTotals {
        users: 2,
        balance: 2 * OPENING_BALANCE - 1,
    };
    assert_eq!(totals.unwrap(), expected);
}

async fn a_sum_that_can_not_be_counted_is_the_most_that_can(branch: &Branch) {
    let _two: [Customer; 2] = branch.customers().await;
    let all_is = async |balance: i64| {
        let update = sqlx::query("UPDATE accounts SET balance = $1").bind(balance);
        update.execute(branch.database.pool()).await.unwrap();
    };
    all_is(i64::MAX).await;
    let totals = as_admin(branch, branch.accounts.admin_totals()).await;
    assert_eq!(totals.unwrap().balance, i64::MAX);
    all_is(4_000_000_000_000_000_007).await;
    let totals = as_admin(branch, branch.accounts.admin_totals()).await;
    assert_eq!(totals.unwrap().balance, 8_000_000_000_000_000_014);
    all_is(OPENING_BALANCE).await;
}

async fn users_are_searched_by_parts_of_their_names_and_numbers(branch: &Branch) {
    let mut numbers = Vec::new();
    for name in ["Ada", "ada_l", "grace", "g%"] {
        numbers.push(branch.customer(name).await.number);
    }
    let found = async |search: Option<&str>| {
        let page = PageRequest::default();
        let asked = branch.accounts.admin_users(page, search.map(Into::into));
        let page = as_admin(branch, asked).await.unwrap();
        let names: Vec<_> = page.items.into_iter().map(|user| user.username).collect();
        assert_eq!(page.total, u64::try_from(names.len()).unwrap());
        names
    };
    assert_eq!(found(None).await, ["g%", "grace", "ada_l", "Ada"]);
    assert_eq!(found(Some("")).await.len(), 4);
    assert_eq!(found(Some("DA")).await, ["ada_l", "Ada"]);
    assert_eq!(found(Some("_")).await, ["ada_l"]);
    assert_eq!(found(Some("%")).await, ["g%"]);
    let nothing: [&str; 0] = [];
    for search in ["!", "'", "ada\0", "\\", &"a".repeat(200_000)] {
        assert_eq!(found(Some(search)).await, nothing, "{search:.9}");
    }
    assert_eq!(found(Some(numbers[2].as_str())).await, ["grace"]);
    assert_eq!(found(Some(&numbers[2].as_str()[1..])).await, ["grace"]);
}

async fn users_come_in_pages_and_one_by_one(branch: &Branch) {
    let customers: [Customer; 5] = branch.customers().await;
    let mut seen = Vec::new();
    for number in 1..=4 {
        let asked = branch
            .accounts
            .admin_users(PageRequest::new(number, 2), None);
        let page = as_admin(branch, asked).await.unwrap();
        assert_eq!((page.total, page.pages, page.page), (5, 3, number));
        seen.extend(page.items);
    }
    assert_eq!(seen.len(), 5);
    for customer in &customers {
        let asked = branch.accounts.admin_user(customer.id);
        let user = as_admin(branch, asked).await.unwrap();
        assert!(seen.contains(&user));
        assert_eq!(user.account_number, customer.number);
        assert_eq!((user.id, user.balance), (customer.id, OPENING_BALANCE));
        assert_eq!(user.phone.as_deref(), Some("49****78"));
    }
    let asked = branch.accounts.admin_user(UserId::new());
    let not_found = AccountError::NotFound("User".to_owned());
    assert_eq!(refusal(as_admin(branch, asked).await), not_found);
}

on_each_database! {
    totals_are_of_all_accounts,
    a_sum_that_can_not_be_counted_is_the_most_that_can,
    users_are_searched_by_parts_of_their_names_and_numbers,
    users_come_in_pages_and_one_by_one,
}
