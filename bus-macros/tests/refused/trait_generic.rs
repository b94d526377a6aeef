use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts<'a, T> {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
