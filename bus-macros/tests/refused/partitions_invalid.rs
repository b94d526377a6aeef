use replybus::queue_handler;

#[queue_handler("payments", partitions = 300, bundles = true)]
pub trait TooMany {
    async fn pay(&self, account: String) -> Result<(), String>;
}

#[queue_handler("payments", partitions = 16, bundles = true)]
pub trait Payments {
    async fn no_key(&self, account: String) -> Result<(), String>;

    async fn two_keys(&self, #[key] from: String, #[key] to: String) -> Result<(), String>;

    async fn with_value(&self, #[key(account)] account: String) -> Result<(), String>;

    async fn other_mark(&self, #[key] account: String, #[secret] pin: u32) -> Result<(), String>;

    #[command(job = "4h")]
    async fn long(&self, #[key] account: String) -> Result<(), String>;

    #[command(retry)]
    async fn put_off(&self, #[key] account: String) -> Result<(), String>;

    #[command(retry(max_delay = "2s"))]
    async fn put_off_for_long(&self, #[key] account: String) -> Result<(), String>;

    #[command(retry(max_delay = "1s"))]
    async fn held(&self, #[key] account: String) -> Result<(), String>;
}

fn main() {}
