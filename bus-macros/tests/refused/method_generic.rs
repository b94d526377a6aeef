use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open<T: Send>(&self, name: T) -> Result<(), String>;
}

fn main() {}
