use super::stock::Outcome;
use std::sync::atomic::{AtomicU32, Ordering};

use replybus::{Bus, Never, queue_handler};

#[queue_handler("product.requests")]
pub trait Products {
    #[query(cache = "300s", tags("product:{id}"), vary("tenant"))]
    async fn product(&self, id: u32) -> Result<String, Never>;

    #[invalidates("product:{id}")]
    async fn rename(&self, id: u32, name: String) -> Result<(), Never>;
}

#[derive(Default)]
struct Counting(AtomicU32);

impl Products for Counting {
    async fn product(&self, id: u32) -> Result<String, Never> {
        let asked = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(format!("product {id}, asked {asked} times"))
    }

    async fn rename(&self, _: u32, _: String) -> Result<(), Never> {
        Ok(())
    }
}

#[tokio::test]
async fn answers_are_kept_until_they_are_untrue() -> Outcome {
    let bus = Bus::in_memory();
    let _serving = bus.serve(ProductsServer::new(Counting::default())).await?;
    let products = ProductsClient::new(&bus);

    assert_eq!(products.product(7).await?, "product 7, asked 1 times");
    assert_eq!(products.product(7).await?, "product 7, asked 1 times"); // from Redis
    products.rename(7, "ink".to_owned()).await?;
    assert_eq!(products.product(7).await?, "product 7, asked 2 times");
    Ok(())
}

#[tokio::test]
async fn what_others_change_is_said_by_them() -> Outcome {
    let bus = Bus::in_memory();
    let _serving = bus.serve(ProductsServer::new(Counting::default())).await?;
    let products = ProductsClient::new(&bus);
    products.product(7).await?;

    // After an import into the table of products, by whatever program did it:
    bus.invalidate("product.requests", ["product:7"]).await?;
    assert_eq!(products.product(7).await?, "product 7, asked 2 times");
    let fresh = products.product(7).uncached().await?; // or for one call
    assert_eq!(fresh, "product 7, asked 3 times");
    Ok(())
}
