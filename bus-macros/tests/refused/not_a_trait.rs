use replybus::queue_handler;

pub struct Accounts;

#[queue_handler("accounts")]
impl Accounts {
    #[query]
    async fn open(&self) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
