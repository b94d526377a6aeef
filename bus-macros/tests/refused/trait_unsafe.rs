use replybus::queue_handler;

#[queue_handler("accounts")]
pub unsafe trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
