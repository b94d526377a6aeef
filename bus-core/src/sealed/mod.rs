//! Values that one program alone can read (feature `sealed`): passwords, card numbers, whatever the
//! broker, the store, and whoever looks after them must not see.
//!
//! TLS ends at RabbitMQ and at Redis, which have every body in the clear, on their disks too. A
//! [`Sealed`] value is encrypted by who has it and decrypted by who needs it, with nobody in between
//! who could: it stays sealed in queues, in dead letters, in the [flight record](crate::flight) and in
//! the reply store. It is a value like any other: an argument or a part of one, an answer, an error, a
//! field of an event, an item of a stream.
//!
//! ```
//! use replybus::{Bus, queue_handler, sealed::{OpeningKey, Sealed, SealingKey}};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
//! # #[error("wrong name or password")]
//! # pub struct Refused;
//!
//! #[queue_handler("logins.requests")]
//! pub trait Logins {
//!     async fn log_in(&self, name: String, password: Sealed<String>) -> Result<u64, Refused>;
//! }
//!
//! struct Accounts { key: OpeningKey }
//!
//! impl Logins for Accounts {
//!     async fn log_in(&self, name: String, password: Sealed<String>) -> Result<u64, Refused> {
//!         let password = password.open(&self.key, &format!("log in {name}"));
//!         // .. which is hashed and compared.
//!         match password.map_err(|_| Refused)?.as_str() {
//!             "correct horse" => Ok(1),
//!             _ => Err(Refused),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Made once, and kept where only the service can read it: `OpeningKey::from_pem`.
//! let key = OpeningKey::generate("logins-1")?;
//! let public: SealingKey = key.sealing_key(); // what callers have
//!
//! let bus = Bus::in_memory();
//! let serving = bus.serve(LoginsServer::new(Accounts { key })).await?;
//! let logins = LoginsClient::new(&bus);
//! let password = Sealed::new(&"correct horse".to_owned(), &public, "log in ada")?;
//! assert_eq!(logins.log_in("ada".to_owned(), password.clone()).await?, 1);
//! // What was sealed for one purpose does not serve another.
//! assert!(logins.log_in("bob".to_owned(), password).await.is_err());
//! # serving.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It is the hybrid public key encryption of [RFC 9180]: DHKEM (X25519, HKDF-SHA256), HKDF-SHA256 and
//! ChaCha20-Poly1305, in its base mode, with a key of its own for each value. What is sealed is filled
//! up to a multiple of 64 bytes: two passwords have one length, and two documents have not.
//!
//! Sealing a value twice gives different bytes: a call that is made again under its idempotency key
//! takes what was sealed for the first, or the key is a conflict.
//!
//! It does not say who sealed it: everybody may who has the public key, and whoever can read a queue
//! can send a sealed value a second time, for the same purpose. So name in the purpose what it is for
//! and whose it is, and [sign](crate::BusBuilder::sign) requests, if others than the right ones can
//! publish them. Who records what went over the wires can read it when the secret key becomes known:
//! a key that is replaced is best destroyed as soon as nothing waits that was sealed to it.
//!
//! [RFC 9180]: https://www.rfc-editor.org/rfc/rfc9180

mod content;
mod frame;
mod key;
mod pem;
mod value;

pub use self::{
    key::{InvalidKey, OpeningKey, SealingKey},
    value::{NotOpened, NotSealed, Sealed},
};
