//! Only those who call what is deprecated are warned. A contract can come out of another macro.
#![deny(warnings)]

macro_rules! contract {
    ($name:ident, $queue:literal, $argument:ident: $ty:ty) => {
        #[replybus::queue_handler($queue, timeout = "1s")]
        #[deprecated]
        pub trait $name {
            #[deprecated]
            async fn open(&self, $argument: $ty) -> Result<$ty, String>;
        }
    };
}

contract!(Accounts, "accounts", name: String);
