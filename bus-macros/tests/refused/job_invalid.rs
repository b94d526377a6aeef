use replybus::queue_handler;

#[queue_handler("press")]
pub trait Press {
    #[query(job = "1h")]
    async fn look(&self) -> Result<u64, String>;

    #[command(job = "8d")]
    async fn print(&self) -> Result<u64, String>;

    #[command(job = "169h")]
    async fn bind(&self) -> Result<u64, String>;

    #[command(own_record, job = "1h")]
    async fn post(&self) -> Result<u64, String>;

    #[command(retry, job = "1h")]
    async fn fetch(&self) -> Result<u64, String>;

    #[command(timeout = "2h")]
    async fn wait(&self) -> Result<u64, String>;
}

fn main() {}
