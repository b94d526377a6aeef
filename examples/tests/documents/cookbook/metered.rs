use super::stock::{Outcome, serve};

#[tokio::test]
async fn calls_are_counted() -> Outcome {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use replybus::Bus;

    let metrics = PrometheusBuilder::new().install_recorder()?; // before the bus is opened
    let bus = Bus::in_memory();
    let (serving, stock) = serve(&bus).await?;
    stock.count("pen".to_owned()).await?;
    serving.shutdown().await?;
    let page = metrics.render(); // what GET /metrics answers
    assert!(page.contains("replybus_served_total{"), "{page}");
    Ok(())
}
