use replybus::queue_handler;

#[queue_handler("accounts", prefetch = 4, prefetch = 8)]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
