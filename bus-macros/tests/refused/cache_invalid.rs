use replybus::queue_handler;

#[queue_handler("products")]
pub trait Products {
    #[command(cache = "300s")]
    async fn of_a_command(&self) -> Result<u64, String>;

    #[stream(cache = "300s")]
    async fn of_a_stream(&self) -> Result<u64, String>;

    #[query(cache = "0s")]
    async fn of_no_time(&self) -> Result<u64, String>;

    #[query(cache = "25h")]
    async fn too_long(&self) -> Result<u64, String>;

    #[query(cache = 300)]
    async fn of_a_number(&self) -> Result<u64, String>;

    #[query(cache)]
    async fn of_nothing(&self) -> Result<u64, String>;

    #[query(tags("products"))]
    async fn without_cache(&self) -> Result<u64, String>;

    #[query(cache = "1m", tags("product:{number}"))]
    async fn unknown_argument(&self, id: u64, name: String) -> Result<u64, String>;

    #[query(cache = "1m", tags("{a"), vary("Accept"))]
    async fn stray_brace(&self, a: u64) -> Result<u64, String>;

    #[query(cache = "1m", tags = "products")]
    async fn no_list(&self) -> Result<u64, String>;

    #[query(cache = "1m", tags(products), vary("tenant"), vary("user"))]
    async fn no_text(&self) -> Result<u64, String>;

    #[query(cache = "1m", tags("price:{price}", "tag:{tags}"))]
    async fn no_part_of_a_tag(&self, price: f64, tags: Vec<String>) -> Result<u64, String>;
}

fn main() {}
