use replybus::queue_handler;

#[queue_handler("account requests")]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
