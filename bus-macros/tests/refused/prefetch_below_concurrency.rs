use replybus::queue_handler;

#[queue_handler("accounts", concurrency = 64, prefetch = 48)]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
