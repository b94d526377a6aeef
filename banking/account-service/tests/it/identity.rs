//! Who may ask for what. The service itself refuses the others.

use crate::{
    audit,
    branch::{Branch, PATIENCE, amount, key},
};
use chassis::{
    Identity,
    identity::{SESSION, SessionStore},
    keys::Keys,
};
use contracts::{
    PageRequest, Refused, TimeZoneName, UserId,
    account::{
        AccountError, AccountsClient, NewHolder, Recipient, StatementFilter, TransferPosting,
    },
    month_statement::MonthOrder,
};
use replybus::{Call, CallError, client::Outcome};
use uuid::Uuid;

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    User,
    AuthService,
    TransferService,
    Admin,
}

/// What somebody shows.
struct Shown {
    what: &'static str,
    is: Option<Who>,
    entry: Option<(&'static str, String)>,
}

const METHODS: [(&str, Who); 18] = [
    ("me", Who::User),
    ("balance", Who::User),
    ("lookup", Who::User),
    ("deposit", Who::User),
    ("withdraw", Who::User),
    ("statement", Who::User),
    ("entries", Who::User),
    ("begin_month_statement", Who::User),
    ("month_statements", Who::User),
    ("month_statement", Who::User),
    ("cancel_month_statement", Who::User),
    ("month_statement_entries", Who::User),
    ("open", Who::AuthService),
    ("parties", Who::TransferService),
    ("post_transfer", Who::TransferService),
    ("admin_totals", Who::Admin),
    ("admin_users", Who::Admin),
    ("admin_user", Who::Admin),
];

/// Makes one call, whatever it returns.
async fn call<T, E>(call: Call<Result<T, E>>, shown: &Shown) -> Result<(), CallError<E>>
where
    Result<T, E>: Outcome<Ok = T, Err = E>,
{
    let call = match &shown.entry {
        Some((name, value)) => call.metadata(*name, value),
        None => call,
    };
    call.timeout(PATIENCE).await.map(|_| ())
}

async fn ask(
    accounts: &AccountsClient,
    method: &str,
    (ada, number): (UserId, &contracts::AccountNumber),
    shown: &Shown,
) -> Result<(), CallError<AccountError>> {
    let page = PageRequest::default();
    match method {
        "me" => call(accounts.me(), shown).await,
        "balance" => call(accounts.balance(), shown).await,
        "lookup" => {
            call(
                accounts.lookup(Recipient::AccountNumber(number.clone())),
                shown,
            )
            .await
        }
        "deposit" => call(accounts.deposit(amount(1), key("in")), shown).await,
        "withdraw" => call(accounts.withdraw(amount(1), key("out")), shown).await,
        "statement" => call(accounts.statement(page, StatementFilter::default()), shown).await,
        "entries" => {
            let mut entries = accounts
                .entries(StatementFilter::default())
                .timeout(PATIENCE);
            if let Some((name, value)) = &shown.entry {
                entries = entries.metadata(*name, value);
            }
            entries.await.map(drop)
        }
        "begin_month_statement" => {
            let order = MonthOrder {
                month: "2026-01".parse().unwrap(),
                time_zone: TimeZoneName::utc(),
                key: key("month"),
            };
            call(accounts.begin_month_statement(order), shown).await
        }
        "month_statements" => call(accounts.month_statements(), shown).await,
        "month_statement" => call(accounts.month_statement(Uuid::nil()), shown).await,
        "cancel_month_statement" => call(accounts.cancel_month_statement(Uuid::nil()), shown).await,
        "month_statement_entries" => {
            let mut entries = accounts.month_statement_entries(Uuid::nil());
            if let Some((name, value)) = &shown.entry {
                entries = entries.metadata(*name, value);
            }
            entries.timeout(PATIENCE).await.map(drop)
        }
        "open" => {
            let holder = NewHolder {
                user_id: UserId::new(),
                username: Uuid::new_v4().to_string(),
                phone: None,
            };
            call(accounts.open(holder), shown).await
        }
        "parties" => {
            let to = Recipient::AccountNumber(number.clone());
            call(accounts.parties(ada, to), shown).await
        }
        "post_transfer" => {
            let posting = TransferPosting {
                transfer: Uuid::now_v7(),
                from: number.clone(),
                to: "000000".parse().unwrap(),
                amount: amount(1),
                reference: None,
            };
            call(accounts.post_transfer(posting), shown).await
        }
        "admin_totals" => call(accounts.admin_totals(), shown).await,
        "admin_users" => call(accounts.admin_users(page, None), shown).await,
        "admin_user" => call(accounts.admin_user(ada), shown).await,
        other => panic!("{other}"),
    }
}

async fn all_there_is_to_show(branch: &Branch, ada: UserId, session: &str) -> Vec<Shown> {
    let ours = &branch.platform.identity;
    let theirs = Identity::new(
        "auth-service",
        &Keys::draw().unwrap(),
        SessionStore::memory(),
    );
    let ended = branch.session(ada, "ada").await;
    let user = ours.user_of(&ended).await.unwrap();
    ours.end_session(user.session).await.unwrap();
    let forged = theirs.begin_session(ada, "ada", PATIENCE).await.unwrap();
    let service = |name: &str| Some(ours.of_program(name).service_pass());
    let gateway = ours.of_program("api-producer");
    let pass = gateway.service_pass().0;
    let shown = |what, is, entry| Shown { what, is, entry };
    vec![
        shown("nothing", None, None),
        shown("no session", None, Some((SESSION, String::new()))),
        shown("a forged session", None, Some((SESSION, forged))),
        shown("a session that ended", None, Some((SESSION, ended))),
        shown(
            "a session as a pass",
            None,
            Some((pass, session.to_owned())),
        ),
        shown(
            "a pass as a session",
            None,
            Some((SESSION, gateway.admin_pass().1)),
        ),
        shown("a forged pass", None, Some(theirs.service_pass())),
        shown(
            "a forged pass of the transfer service",
            None,
            Some(theirs.of_program("transfer-service").service_pass()),
        ),
        shown(
            "a forged admin's pass",
            None,
            Some(theirs.of_program("api-producer").admin_pass()),
        ),
        shown(
            "a service's pass for the admin",
            None,
            Some(ours.of_program("transfer-service").admin_pass()),
        ),
        shown("the gateway's pass", None, service("api-producer")),
        shown("another's pass", None, service("notification-service")),
        shown("its own pass", None, service(account_service::NAME)),
        shown(
            "a session",
            Some(Who::User),
            Some((SESSION, session.to_owned())),
        ),
        shown(
            "the auth service's pass",
            Some(Who::AuthService),
            service("auth-service"),
        ),
        shown(
            "the transfer service's pass",
            Some(Who::TransferService),
            service("transfer-service"),
        ),
        shown(
            "the admin's pass",
            Some(Who::Admin),
            Some(gateway.admin_pass()),
        ),
    ]
}

async fn each_method_is_for_whom_it_is_for_and_nobody_else(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let all = all_there_is_to_show(branch, ada.id, &ada.session).await;
    for shown in &all {
        for (method, who) in METHODS {
            let before = audit::postings(&branch.database).await;
            let answer = ask(&branch.accounts, method, (ada.id, &ada.number), shown).await;
            let refused = match answer {
                Ok(()) | Err(CallError::Handler(AccountError::NotFound(_))) => false,
                Err(CallError::Handler(AccountError::Refused(
                    Refused::Unauthenticated | Refused::Forbidden,
                ))) => true,
                Err(error) => panic!("{method} with {}: {error:?}", shown.what),
            };
            let may = shown.is == Some(who);
            assert_eq!(refused, !may, "{method} with {}", shown.what);
            if refused {
                assert_eq!(audit::postings(&branch.database).await, before);
            }
        }
    }
}

async fn a_refusal_is_not_remembered_under_a_key_of_the_bus(branch: &Branch) {
    let [ada, grace]: [crate::branch::Customer; 2] = branch.customers().await;
    let posting = TransferPosting {
        transfer: Uuid::now_v7(),
        from: ada.number.clone(),
        to: grace.number.clone(),
        amount: amount(1),
        reference: None,
    };
    let post = || {
        let call = branch.accounts.post_transfer(posting.clone());
        call.idempotency_key("transfer").timeout(PATIENCE)
    };
    let refused = crate::branch::refusal(post().await);
    assert_eq!(refused, Refused::Unauthenticated.into());
    let posted = branch.as_service("transfer-service", post()).await;
    posted.unwrap();
    assert_eq!(grace.balance().await, 100_001);
}

on_each_database! {
    each_method_is_for_whom_it_is_for_and_nobody_else,
    a_refusal_is_not_remembered_under_a_key_of_the_bus,
}
