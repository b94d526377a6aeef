use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn layer(&self) -> Result<(), String>;
}

fn main() {}
