use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
