use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    #[cfg_attr(not(any()), query)]
    async fn balance(&self) -> Result<u64, String>;

    #[cfg_attr(not(any()), cfg(not(any())))]
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
