//! Who serves, as it is shown.

use crate::shop::{Counter, QUEUE, ShopServer, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_listed_with_its_instances_and_methods() {
    let Some(site) = Site::open("cli-services").await else {
        return;
    };
    let nothing = site.run(&["services"]).await;
    assert!(nothing.text().contains("nothing is served"), "{nothing:?}");
    let absent = site.run(&["services", QUEUE]).await;
    assert_eq!(absent.code, 1);
    assert!(absent.err.contains("no such queue"), "{absent:?}");

    let serving = site.bus.serve(ShopServer::new(Counter::default()));
    let serving = serving.version("1.4.0").await.unwrap();
    let listed = site.run(&["services"]).await;
    let text = listed.text();
    assert!(text.contains(QUEUE) && text.contains("1.4.0"), "{text}");

    let all = site.run(&["services", "--json"]).await.json();
    assert_eq!(all[0]["queue"], QUEUE);
    let one = &all[0]["instances"][0];
    assert_eq!(
        (&one["service"], &one["state"]),
        (&"Shop".into(), &"serving".into())
    );

    let shown = site.run(&["services", QUEUE]).await;
    let id = one["id"].as_str().unwrap();
    for part in [id, "price", "stocktaking", "serving", "1.4.0"] {
        assert!(shown.text().contains(part), "{part}: {shown:?}");
    }
    serving.shutdown().await.unwrap();
    let left = site.run(&["services", QUEUE]).await;
    assert!(left.err.contains("nobody serves it"), "{left:?}");
    site.close().await;
}
