use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    #[query]
    #[command]
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
