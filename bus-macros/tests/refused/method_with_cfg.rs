use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    #[cfg(feature = "open")]
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
