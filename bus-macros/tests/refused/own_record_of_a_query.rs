use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    #[query(own_record)]
    async fn balance(&self) -> Result<u64, String>;

    #[command(own_record, own_record)]
    async fn post(&self) -> Result<u64, String>;
}

fn main() {}
