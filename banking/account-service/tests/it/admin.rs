//! What the administrator sees, here and of the other services.

use crate::branch::{Branch, Customer, PATIENCE, refusal};
use chassis::Identity;
use contracts::{
    Page, PageRequest, Refused, ServiceHealth, UserId,
    account::{AccountError, BankStats, OPENING_BALANCE},
    notification::{
        AdminNotification, MarkedRead, Notification, NotificationError, Notifications,
        NotificationsServer,
    },
    transfer::{
        AdminTransfer, Transaction, TransferError, TransferOrder, TransferReceipt, TransferStatus,
        TransferTotals, Transfers, TransfersServer,
    },
};
use jiff::Timestamp;
use replybus::{Call, Never, client::Outcome, server::Serving};
use uuid::Uuid;

/// A transfer service as the administrator knows it.
pub(crate) struct TransferService(Identity);

impl TransferService {
    pub(crate) async fn serve(branch: &Branch) -> Serving {
        let server = TransfersServer::new(Self(branch.platform.identity.clone()));
        branch.platform.bus.serve(server).await.unwrap()
    }
}

impl Transfers for TransferService {
    async fn transfer(&self, _: TransferOrder) -> Result<TransferReceipt, TransferError> {
        unreachable!("nobody asks")
    }

    async fn transactions(&self, _: PageRequest) -> Result<Page<Transaction>, TransferError> {
        unreachable!("nobody asks")
    }

    async fn admin_totals(&self) -> Result<TransferTotals, TransferError> {
        self.0.require_admin()?;
        Ok(TransferTotals {
            transfers: 3,
            amount: 77,
        })
    }

    async fn admin_transfers(
        &self,
        page: PageRequest,
        user_id: Option<UserId>,
        search: Option<String>,
    ) -> Result<Page<AdminTransfer>, TransferError> {
        self.0.require_admin()?;
        let transfer = AdminTransfer {
            id: Uuid::now_v7(),
            from: user_id.map(|user| user.to_string()).unwrap_or_default(),
            from_account_number: "111111".parse().unwrap(),
            to: search.unwrap_or_default(),
            to_account_number: "222222".parse().unwrap(),
            amount: crate::branch::amount(5),
            status: TransferStatus::Completed,
            created_at: Timestamp::now(),
        };
        Ok(page.of(1, vec![transfer]))
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        unreachable!("nobody asks")
    }
}

/// A notification service as the administrator knows it.
pub(crate) struct NotificationService(Identity);

impl NotificationService {
    pub(crate) async fn serve(branch: &Branch) -> Serving {
        let server = NotificationsServer::new(Self(branch.platform.identity.clone()));
        branch.platform.bus.serve(server).await.unwrap()
    }
}

impl Notifications for NotificationService {
    async fn list(&self) -> Result<Vec<Notification>, NotificationError> {
        unreachable!("nobody asks")
    }

    async fn mark_read(&self, _: Option<Vec<Uuid>>) -> Result<MarkedRead, NotificationError> {
        unreachable!("nobody asks")
    }

    async fn admin_total(&self) -> Result<u64, NotificationError> {
        self.0.require_admin()?;
        Ok(6)
    }

    async fn admin_notifications(
        &self,
        page: PageRequest,
        user_id: Option<UserId>,
    ) -> Result<Page<AdminNotification>, NotificationError> {
        self.0.require_admin()?;
        let notification = AdminNotification {
            id: Uuid::now_v7(),
            user_id: user_id.unwrap_or_else(UserId::new),
            message: "Money came".to_owned(),
            is_read: false,
            created_at: Timestamp::now(),
        };
        Ok(page.of(1, vec![notification]))
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        unreachable!("nobody asks")
    }
}

fn as_admin<R: Outcome>(branch: &Branch, call: Call<R>) -> Call<R> {
    let (name, pass) = branch
        .platform
        .identity
        .of_program("api-producer")
        .admin_pass();
    call.metadata(name, pass).timeout(PATIENCE)
}

async fn stats_are_joined_from_three_services(branch: &Branch) {
    let transfers = TransferService::serve(branch).await;
    let notifications = NotificationService::serve(branch).await;
    let [ada, _]: [Customer; 2] = branch.customers().await;
    ada.withdraw(1, "out").await.unwrap();
    let stats = as_admin(branch, branch.accounts.admin_stats()).await;
    let expected = BankStats {
        total_users: 2,
        total_balance: 2 * OPENING_BALANCE - 1,
        total_transfers: 3,
        total_transfer_amount: 77,
        total_notifications: 6,
    };
    assert_eq!(stats.unwrap(), expected);
    transfers.shutdown().await.unwrap();
    notifications.shutdown().await.unwrap();
}

async fn a_sum_that_can_not_be_counted_is_the_most_that_can(branch: &Branch) {
    let transfers = TransferService::serve(branch).await;
    let notifications = NotificationService::serve(branch).await;
    let _two: [Customer; 2] = branch.customers().await;
    let all_is = async |balance: i64| {
        let update = sqlx::query("UPDATE accounts SET balance = $1").bind(balance);
        update.execute(branch.database.pool()).await.unwrap();
    };
    all_is(i64::MAX).await;
    let stats = as_admin(branch, branch.accounts.admin_stats()).await;
    assert_eq!(stats.unwrap().total_balance, i64::MAX);
    all_is(4_000_000_000_000_000_007).await;
    let stats = as_admin(branch, branch.accounts.admin_stats()).await;
    assert_eq!(stats.unwrap().total_balance, 8_000_000_000_000_000_014);
    all_is(OPENING_BALANCE).await;
    transfers.shutdown().await.unwrap();
    notifications.shutdown().await.unwrap();
}

async fn without_another_service_its_part_is_not_available(branch: &Branch) {
    let unavailable = AccountError::from(Refused::Unavailable);
    let page = PageRequest::default();
    let accounts = &branch.accounts;
    let stats = as_admin(branch, accounts.admin_stats()).await;
    assert_eq!(refusal(stats), unavailable);
    let transfers = TransferService::serve(branch).await;
    let stats = as_admin(branch, accounts.admin_stats()).await;
    assert_eq!(refusal(stats), unavailable);
    let notifications = accounts.admin_notifications(page, None);
    assert_eq!(refusal(as_admin(branch, notifications).await), unavailable);
    as_admin(branch, accounts.admin_transfers(page, None, None))
        .await
        .unwrap();
    transfers.shutdown().await.unwrap();
}

async fn lists_of_other_services_are_asked_of_them(branch: &Branch) {
    let transfers = TransferService::serve(branch).await;
    let notifications = NotificationService::serve(branch).await;
    let (user, page) = (UserId::new(), PageRequest::new(2, 7));
    let search = Some("a%b".to_owned());
    let asked = branch.accounts.admin_transfers(page, Some(user), search);
    let listed = as_admin(branch, asked).await.unwrap();
    assert_eq!((listed.page, listed.size, listed.total), (2, 7, 1));
    assert_eq!(listed.items[0].from, user.to_string());
    assert_eq!(listed.items[0].to, "a%b");
    let asked = branch.accounts.admin_notifications(page, Some(user));
    let listed = as_admin(branch, asked).await.unwrap();
    assert_eq!((listed.page, listed.size, listed.total), (2, 7, 1));
    assert_eq!(listed.items[0].user_id, user);
    transfers.shutdown().await.unwrap();
    notifications.shutdown().await.unwrap();
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
    stats_are_joined_from_three_services,
    a_sum_that_can_not_be_counted_is_the_most_that_can,
    without_another_service_its_part_is_not_available,
    lists_of_other_services_are_asked_of_them,
    users_are_searched_by_parts_of_their_names_and_numbers,
    users_come_in_pages_and_one_by_one,
}
