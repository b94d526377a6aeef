//! Each side of a transfer is told once.

use crate::stage::{Replica, on_both, party, transfer};
use chassis::{identity::SESSION, settings::PlatformSettings};
use contracts::PageRequest;
use futures_util::StreamExt as _;
use live_feed::{Feed, ws};
use notification_service::start;
use std::collections::HashSet;
use tokio::net::TcpListener;
use tokio_tungstenite::{connect_async, tungstenite::Message};
use town::wait::soon;

/// The queue of a bus in memory is in order, so what was emitted before the last event was taken
/// when that is stored, and a service that has stopped is done with what it took.
async fn emitted_and_done(replica: Replica) -> chassis::Platform {
    let (from, to) = (party("last"), party("of-all"));
    replica.emit(&transfer(&from, &to, 1)).await;
    replica.until_listed(&to, 1).await;
    replica.running.stop().await;
    replica.platform
}

#[tokio::test]
async fn an_event_that_comes_twice_is_stored_once_for_each_side() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let (alice, bob) = (party("alice"), party("bob"));
        let event = transfer(&alice, &bob, 1_234);
        for _ in 0..5 {
            replica.emit(&event).await;
        }
        let again = Replica::on(emitted_and_done(replica).await).await;
        assert_eq!(again.total().await, 2 + 2, "with the last one");
        let (sent, received) = (again.list(&alice).await, again.list(&bob).await);
        assert_eq!(sent[0].message, "You sent 12.34 to bob");
        assert_eq!(received[0].message, "You received 12.34 from alice");
        assert!(!sent[0].is_read && !received[0].is_read);
        again.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn two_replicas_that_get_the_same_events_store_each_once() {
    on_both(async |url| {
        // Buses of their own: nothing but the database knows of both.
        let first = Replica::start(PlatformSettings::with_database(url)).await;
        let second = Replica::start(PlatformSettings::with_database(url)).await;
        let (alice, bob) = (party("alice"), party("bob"));
        let events: Vec<_> = (1..=20)
            .map(|amount| transfer(&alice, &bob, amount))
            .collect();
        for event in &events {
            tokio::join!(first.emit(event), second.emit(event));
        }
        let (first, second) = tokio::join!(emitted_and_done(first), emitted_and_done(second));
        drop(second);
        let again = Replica::on(first).await;
        assert_eq!(again.total().await, 20 * 2 + 2 * 2);
        let messages: HashSet<_> = again
            .list(&bob)
            .await
            .into_iter()
            .map(|notification| notification.message)
            .collect();
        assert_eq!(messages.len(), 20);
        again.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_arrives_live_and_once() {
    on_both(async |url| {
        let platform = chassis::Platform::connect("test", PlatformSettings::with_database(url))
            .await
            .unwrap();
        let feed = Feed::open(&platform).unwrap();
        let router = ws::router(platform.identity.clone(), feed.clone(), Vec::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let replica = Replica {
            running: start(&platform, &feed).await.unwrap(),
            client: contracts::notification::NotificationsClient::new(&platform.bus),
            platform,
        };
        let (alice, bob) = (party("alice"), party("bob"));
        let session = replica.login(&bob).await;
        let connected = connect_async(format!("ws://{address}/ws?session={session}")).await;
        let mut socket = connected.unwrap().0;

        let event = transfer(&alice, &bob, 5_000);
        replica.emit(&event).await;
        replica.emit(&event).await;
        replica.until_listed(&bob, 1).await;
        let running = replica.running;
        running.stop().await;
        feed.close().await;

        let read = async {
            let mut shown = Vec::new();
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    shown.push(text.to_string());
                }
            }
            shown
        };
        let shown = soon("the socket is closed", read).await;
        assert_eq!(shown.len(), 1, "{shown:?}");
        let shown: serde_json::Value = serde_json::from_str(&shown[0]).unwrap();
        assert_eq!(shown["type"], "notification");
        assert_eq!(shown["message"], "You received 50.00 from alice");

        // What is listed is the same, to the letter.
        let again = Replica::on(replica.platform).await;
        let session = again.login(&bob).await;
        let listed = again
            .client
            .list(PageRequest::default())
            .metadata(SESSION, session.as_str());
        let listed = serde_json::to_value(&listed.await.unwrap()[0]).unwrap();
        for field in ["id", "message", "is_read", "created_at"] {
            assert_eq!(shown[field], listed[field], "{field}");
        }
        again.running.stop().await;
    })
    .await;
}
