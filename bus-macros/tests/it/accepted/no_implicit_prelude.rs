//! Expansions name everything by its full path: nothing in scope can get in between.
#![no_implicit_prelude]
#![deny(warnings)]

mod shadowing {
    // What a careless expansion would pick up.
    #[allow(dead_code)]
    mod core {}
    #[allow(dead_code)]
    mod std {}
    #[allow(dead_code)]
    mod replybus {}
    #[allow(dead_code)]
    mod serde {}
    #[allow(dead_code)]
    trait Send {}
    #[allow(dead_code)]
    trait Clone {}
    #[allow(dead_code)]
    struct Arc;

    // Names that generic parameters of an expansion might have.
    #[derive(::serde::Serialize, ::serde::Deserialize)]
    pub struct S;
    #[derive(::serde::Serialize, ::serde::Deserialize)]
    pub struct L;
    #[derive(::serde::Serialize, ::serde::Deserialize)]
    pub struct Arguments;

    #[::replybus::queue_handler("accounts")]
    pub trait Accounts {
        #[query]
        async fn balance(
            &self,
            service: S,
            arguments: L,
            payload: Arguments,
            method: u8,
        ) -> ::std::result::Result<::std::primitive::u64, ::std::string::String>;

        async fn none(&self) -> ::std::result::Result<(), S>;
    }

    #[derive(::replybus::Event, ::serde::Serialize, ::serde::Deserialize)]
    #[event("opened")]
    pub struct Opened;
}

fn call(bus: &::replybus::Bus) {
    let client = shadowing::AccountsClient::new(bus);
    let _ = client.balance(shadowing::S, shadowing::L, shadowing::Arguments, 1);
}

#[test]
fn both_ends_are_made() {
    let _ = call;
}
