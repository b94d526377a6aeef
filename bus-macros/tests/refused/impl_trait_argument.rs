use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self, name: impl Into<String>) -> Result<(), String>;
}

fn main() {}
