use replybus::queue_handler;

#[queue_handler("accounts", workers = 4)]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
