use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&mut self) -> Result<(), String>;
}

fn main() {}
