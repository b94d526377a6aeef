use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    type Name;
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
