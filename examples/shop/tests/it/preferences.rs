//! What users want to be told, and how.

use crate::{
    client::Client,
    stage::{embedded, on_servers, settings},
};
use serde_json::json;
use shop::ServiceName::NotificationService;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_different_preferences_at_once_are_all_kept() {
    embedded(settings(), changes_at_once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_different_preferences_at_once_are_all_kept_on_servers() {
    on_servers(changes_at_once).await;
}

async fn changes_at_once(nobody: Client) {
    let ada = nobody.user("ada").await;
    let put = async |body| {
        let put = ada.put(NotificationService, "/preferences", body).await;
        put.with(200)
    };
    for round in 0..50 {
        let language = if round % 2 == 0 { "vi" } else { "en" };
        let email = format!("ada.{round}@example.org");
        tokio::join!(
            put(json!({ "language": language })),
            put(json!({ "email": email })),
        );
        let kept = ada.get(NotificationService, "/preferences").await.with(200);
        let wanted = json!({ "language": language, "enabled": true, "email": email });
        assert_eq!(kept, wanted, "round {round}");
    }
}
