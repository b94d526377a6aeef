//! What users and the administrator are answered.

use crate::stage::{Replica, on_both, party, transfer};
use chassis::{identity::SESSION, settings::PlatformSettings};
use contracts::{
    PageRequest, PartHealth, UserId,
    notification::{NotificationError, PAGE_SIZE},
};
use replybus::CallError;
use town::wait::eventually;
use uuid::Uuid;

#[tokio::test]
async fn the_list_has_the_newest_first_a_page_at_a_time() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let (alice, bob) = (party("alice"), party("bob"));
        let most = usize::try_from(PAGE_SIZE).unwrap();
        assert!(replica.list(&bob).await.is_empty());
        for amount in 1..=i64::from(PAGE_SIZE) + 3 {
            replica.emit(&transfer(&alice, &bob, amount)).await;
            // One after the other, so that their order is known.
            until_total(&replica, amount * 2).await;
        }
        let listed = replica.list(&bob).await;
        assert_eq!(listed.len(), most);
        for (place, notification) in listed.iter().enumerate() {
            let amount = most + 3 - place;
            let message = format!("You received 0.{amount:02} from alice");
            assert_eq!(notification.message, message);
        }
        let older = replica.listed(&bob, PageRequest::new(2, PAGE_SIZE)).await;
        let older: Vec<&str> = older.iter().map(|one| one.message.as_str()).collect();
        let expected = [3, 2, 1].map(|amount| format!("You received 0.0{amount} from alice"));
        assert_eq!(older, expected);
        let oldest = replica.listed(&bob, PageRequest::new(3, PAGE_SIZE)).await;
        assert!(oldest.is_empty());
        replica.running.stop().await;
    })
    .await;
}

async fn until_total(replica: &Replica, total: i64) {
    eventually("so many are stored", async || {
        (i64::try_from(replica.total().await).unwrap() >= total).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_user_marks_what_is_theirs() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let (alice, bob) = (party("alice"), party("bob"));
        for amount in 1..=4 {
            replica.emit(&transfer(&alice, &bob, amount)).await;
        }
        let of_bob = replica.until_listed(&bob, 4).await;
        let of_alice = replica.until_listed(&alice, 4).await;
        let session = replica.login(&bob).await;
        let mark = async |ids: Option<Vec<Uuid>>| {
            let marking = replica.client.mark_read(ids);
            marking.metadata(SESSION, session.as_str()).await
        };

        assert_eq!(mark(Some(Vec::new())).await.unwrap().marked, 0);
        let two = vec![of_bob[0].id, of_bob[2].id, of_alice[0].id, Uuid::now_v7()];
        assert_eq!(mark(Some(two.clone())).await.unwrap().marked, 2);
        assert_eq!(mark(Some(two)).await.unwrap().marked, 0, "marked before");
        let read: Vec<bool> = replica.list(&bob).await.iter().map(|n| n.is_read).collect();
        assert_eq!(read, [true, false, true, false]);
        assert_eq!(mark(None).await.unwrap().marked, 2);
        assert!(replica.list(&bob).await.iter().all(|n| n.is_read));
        assert!(replica.list(&alice).await.iter().all(|n| !n.is_read));

        let many: Vec<_> = (0..100).map(|_| of_alice[1].id).collect();
        assert_eq!(mark(Some(many.clone())).await.unwrap().marked, 0);
        let too_many = many.iter().copied().chain([of_alice[1].id]).collect();
        assert!(matches!(
            mark(Some(too_many)).await,
            Err(CallError::Handler(NotificationError::TooMany(100)))
        ));
        replica.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_administrator_sees_all_a_page_at_a_time() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let (alice, bob) = (party("alice"), party("bob"));
        for amount in 1..=5 {
            replica.emit(&transfer(&alice, &bob, amount)).await;
        }
        replica.until_listed(&bob, 5).await;
        assert_eq!(replica.total().await, 10);
        let (name, pass) = replica.admin_pass();
        let page = async |number, size, user| {
            let asked = replica
                .client
                .admin_notifications(PageRequest::new(number, size), user);
            asked.metadata(name, pass.as_str()).await.unwrap()
        };
        let all = page(1, 100, None).await;
        assert_eq!((all.total, all.pages, all.items.len()), (10, 1, 10));
        let ages: Vec<_> = all.items.iter().map(|n| (n.created_at, n.id)).collect();
        assert!(ages.is_sorted_by(|newer, older| newer > older));

        let (first, second) = (page(1, 4, None).await, page(2, 4, None).await);
        let third = page(3, 4, None).await;
        let parts = [first.items, second.items, third.items].concat();
        assert_eq!(parts, all.items);

        let of_bob = page(1, 100, Some(bob.user_id)).await;
        assert_eq!((of_bob.total, of_bob.items.len()), (5, 5));
        assert!(of_bob.items.iter().all(|n| n.user_id == bob.user_id));
        let of_nobody = page(1, 100, Some(UserId::new())).await;
        assert_eq!((of_nobody.total, of_nobody.pages), (0, 0));
        replica.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_health_names_the_parts() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let health = replica.client.health().await.unwrap();
        assert_eq!(health.service, "notification-service");
        assert_eq!(health.status, PartHealth::Up);
        replica.running.stop().await;
    })
    .await;
}
