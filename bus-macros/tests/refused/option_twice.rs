use replybus::queue_handler;

#[queue_handler("accounts", prefetch = 64, prefetch = 128)]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
