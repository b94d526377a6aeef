//! Instances that are asked, and drained.

use crate::shop::{Counter, QUEUE, ShopServer, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_answer_say_what_they_did_and_drain_if_they_may() {
    let Some(site) = Site::open("cli-control").await else {
        return;
    };
    let nobody = site.run(&["ping", QUEUE]).await;
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("nobody answers"), "{nobody:?}");

    let serving = site.bus.serve(ShopServer::new(Counter::default()));
    let serving = serving.allow_drain().await.unwrap();
    let pongs = site.run(&["ping", QUEUE, "--json"]).await.json();
    let instance = pongs[0]["instance"].as_str().unwrap();
    assert!(pongs[0]["took_ms"].as_f64().unwrap() > 0.0);
    site.run(&["call", QUEUE, "price", "{\"article\":\"tea\"}"])
        .await
        .json();
    let stats = site.run(&["stats", QUEUE, "--json"]).await.json();
    let price = &stats[0]["methods"]["price"];
    assert_eq!((&price["served"], &price["errors"]), (&1.into(), &0.into()));
    for time in ["p50_ms", "p99_ms", "waited_p99_ms"] {
        assert!(price[time].is_f64(), "{time}: {stats}");
    }
    let table = site.run(&["stats", QUEUE]).await;
    assert!(table.text().contains("price") && table.text().contains("WAITED P99"));

    let unasked = site.run(&["drain", QUEUE]).await;
    assert_eq!(unasked.code, 2, "{unasked:?}");
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(site.run(&["drain", unknown]).await.code, 1);
    let drained = site.run(&["drain", instance, "--json"]).await.json();
    assert_eq!(drained[0]["outcome"], "drained", "{drained}");
    assert_eq!(
        site.run(&["ping", QUEUE, "--within", "100ms"]).await.code,
        1
    );
    serving.shutdown().await.unwrap();

    let serving = site
        .bus
        .serve(ShopServer::new(Counter::default()))
        .await
        .unwrap();
    let refused = site.run(&["drain", QUEUE, "--yes"]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.out.contains("allow_drain"), "{refused:?}");
    serving.shutdown().await.unwrap();
    site.close().await;
}
