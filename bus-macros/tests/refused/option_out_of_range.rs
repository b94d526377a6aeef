use replybus::queue_handler;

#[queue_handler("accounts", concurrency = 0, prefetch = 5000, queue_length_max = -1)]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
