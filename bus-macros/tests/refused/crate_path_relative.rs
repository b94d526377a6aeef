use replybus::queue_handler;

#[queue_handler("accounts", crate = replybus)]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
