//! The parts of a request, read without trust: who asks, the query, the body, and the key.

mod admin;
mod body;
mod client;
mod fields;
mod json;
mod key;
mod network;
mod query;
mod rate;
mod session;

pub(crate) use admin::{ADMIN_GUESSES, Admin};
pub(crate) use body::{Body, discard, too_large};
pub(crate) use client::{Client, client_of};
pub(crate) use fields::{Either, Fields, FromFields, account_number};
pub(crate) use key::{Key, Keyed};
pub use network::{InvalidNetwork, Network};
pub(crate) use query::{
    AccountQuery, Filtering, OfAccount, OfQueue, OfUser, Paging, Searching, id_of, user_id,
};
pub(crate) use rate::{LoggingIn, LookingUp, Rates, Registering, WithinRate};
pub(crate) use session::{Signed, session_of};
