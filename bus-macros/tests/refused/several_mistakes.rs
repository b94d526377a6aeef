//! All of them are told at once, and what is right can be used all the same.
use replybus::queue_handler;

#[queue_handler("accounts", prefetch = "many")]
pub trait Accounts {
    #[query]
    async fn balance(&self, account: String) -> Result<u64, String>;

    fn open(&self, name: &str);

    async fn close(&mut self, account: String) -> Result<(), String>;
}

fn main() {
    let _ = |bus| AccountsClient::new(bus).balance("1".into());
}
