use replybus::queue_handler;

#[queue_handler("accounts", concurrency, timeout =)]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
