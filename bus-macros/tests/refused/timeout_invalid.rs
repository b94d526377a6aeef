use replybus::queue_handler;

#[queue_handler("accounts", timeout = "2 seconds")]
pub trait Accounts {
    #[query(timeout = "0s")]
    async fn open(&self) -> Result<(), String>;
    #[query(timeout = 500)]
    async fn close(&self) -> Result<(), String>;
}

fn main() {}
