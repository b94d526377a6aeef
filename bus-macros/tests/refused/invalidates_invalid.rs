use replybus::queue_handler;

#[queue_handler("products")]
pub trait Products {
    #[query]
    #[invalidates("products")]
    async fn on_a_query(&self) -> Result<u64, String>;

    #[invalidates]
    async fn nothing(&self) -> Result<u64, String>;

    #[invalidates("product:{id}")]
    async fn unknown_argument(&self) -> Result<u64, String>;

    #[invalidates("products")]
    #[invalidates("product:{id}")]
    async fn twice(&self, id: u64) -> Result<u64, String>;

    #[invalidates("product:{}", "")]
    async fn no_name(&self, id: u64) -> Result<u64, String>;
}

fn main() {}
