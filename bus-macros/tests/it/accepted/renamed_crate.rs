//! The crate under another name, at the root and behind a re-export.
// Whatever is written as `::replybus` should not be found.
mod hidden {
    #[::bus_renamed::queue_handler("accounts", crate = ::bus_renamed)]
    pub trait Accounts {
        async fn open(&self, name: String) -> Result<u64, String>;
    }

    #[::bus_renamed::queue_handler("ledger", crate = crate::reexported::replybus)]
    pub trait Ledger {
        async fn close(&self, day: u32) -> Result<(), String>;
    }

    #[derive(::bus_renamed::Event, serde::Serialize, serde::Deserialize)]
    #[event("account.opened", crate = ::bus_renamed)]
    pub struct Opened;
}

#[test]
fn both_names_are_followed() {
    assert_eq!(hidden::AccountsClient::CONTRACT.queue, "accounts");
    assert_eq!(hidden::LedgerClient::CONTRACT.queue, "ledger");
}
