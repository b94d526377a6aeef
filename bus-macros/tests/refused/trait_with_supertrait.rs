use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts: Send + std::fmt::Debug {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
