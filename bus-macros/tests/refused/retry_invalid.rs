use replybus::queue_handler;

#[queue_handler("payments")]
pub trait Payments {
    #[query(retry)]
    async fn balance(&self) -> Result<u64, String>;

    #[command(retry, retry(max = 2))]
    async fn twice(&self) -> Result<u64, String>;

    #[command(retry = 5)]
    async fn value(&self) -> Result<u64, String>;

    #[command(retry(max = 21, base = "0ms", max_delay = "25h", jitter = true))]
    async fn bounds(&self) -> Result<u64, String>;

    #[command(retry(base = "2m"))]
    async fn order(&self) -> Result<u64, String>;

    #[command(retry(times = 3, jitter, jitter))]
    async fn unknown(&self) -> Result<u64, String>;
}

fn main() {}
