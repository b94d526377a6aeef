//! What is said of a method holds for the client's method as well: lints and deprecation, also where
//! they depend on `cfg`.
#![deny(warnings)]

use replybus::{Never, queue_handler};

#[queue_handler("rates")]
pub trait Rates {
    #[query]
    #[allow(non_snake_case)]
    async fn Latest(&self) -> Result<u64, Never>;

    #[expect(non_snake_case, reason = "the name that the other bank gave it")]
    async fn Publish(&self, rate: u64) -> Result<(), Never>;

    #[cfg_attr(not(any()), allow(non_snake_case), doc = "Forgets a rate.")]
    async fn Forget(&self) -> Result<(), Never>;

    /// Nobody calls it any more.
    #[cfg_attr(not(any()), deprecated, must_use)]
    async fn old(&self) -> Result<(), Never>;
}

#[expect(deprecated, reason = "the warning is for those who call it")]
pub async fn calls_what_is_deprecated(rates: RatesClient) {
    let _ = rates.old().await;
}
