//! Signed messages (feature `signed`): a request says who made it, and a reply who answered, by a key
//! (Ed25519) that the broker and the store do not have.
//!
//! Without it whoever may publish to a queue is believed. With a [`KeyRing`] a service believes only
//! requests that are signed by a key of it ([`Serve::only_signed`](crate::server::Serve::only_signed)),
//! and a bus only replies that are
//! ([`BusBuilder::only_signed_replies`](crate::BusBuilder::only_signed_replies)); a bus signs what it
//! says if it has a [`SigningKey`] ([`BusBuilder::sign`](crate::BusBuilder::sign)), replies only to who
//! signed the request, so that callers in other languages and of older versions are answered as before.
//! None of it is on by default, and then it costs nothing.
//!
//! A signature covers what a message means: the namespace, the queue and the method, the call id, the
//! inbox that the reply goes to, the times between which it may be started, the idempotency key, the
//! program, the key's partition, the metadata and baggage, the encoding and the body. So nothing of it
//! can be altered, and it can't be sent to another queue or answered elsewhere. A message that is sent
//! a second time is as good as the first until its time is over: a command is recognised by its record,
//! which is kept for longer than that, and a query reads once more and answers the same inbox. After
//! its time it is [expired](crate::FailureKind::Expired). A reply is bound to its call and to the
//! request that it answers, and so is each frame of a [stream](crate::stream), whichever way it goes:
//! what is not by the right key is never read, and asked for again as if it had been lost.
//!
//! What waits carries its signature with it: delays and retries, which end before its time does. A
//! dead letter that is put back is signed anew, by the bus that puts it back: it is that one's request.
//! The message of a [job](crate::contract::MethodContract::job) outlives its time: the service that
//! starts one signs that it did, beside the caller's signature, and believes that word of its own key
//! alone, and of those that [`Serve::believe_instances`](crate::server::Serve::believe_instances)
//! names. It is a word that a job was started, never that it may be: without a record of it in the
//! store none is begun after its caller's time.
//!
//! Not signed, and so believed of whoever may write there: cancels and other words on the control line,
//! by which a call or a stream can be ended but nothing put into it, events, progress, and records of
//! instances and of delayed calls. A service that believes signed requests only and has jobs needs a
//! key of its own. A bus that believes signed replies only takes no answers that are kept for others.
//!
//! ```
//! use replybus::{
//!     Bus, FailureKind, Never, queue_handler,
//!     reply::memory::MemoryReplies,
//!     signature::{KeyRing, SigningKey},
//!     transport::memory::MemoryBroker,
//! };
//!
//! #[queue_handler("vault.requests")]
//! pub trait Vault {
//!     async fn open(&self) -> Result<(), Never>;
//! }
//! # struct Steel;
//! # impl Vault for Steel { async fn open(&self) -> Result<(), Never> { Ok(()) } }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Drawn once, and kept where only the teller can read it.
//! # let secret = [7; 32];
//! let teller = SigningKey::from_bytes("teller-1", &secret)?;
//! let known = KeyRing::new().trust("teller-1", &teller.public_key())?;
//!
//! let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
//! let service = Bus::connect(broker.clone(), replies.clone()).await?;
//! let serving = service.serve(VaultServer::new(Steel)).only_signed(known).await?;
//!
//! let signed = Bus::builder().sign(teller).connect(broker.clone(), replies.clone()).await?;
//! VaultClient::new(&signed).open().await?;
//!
//! let stranger = Bus::connect(broker, replies).await?;
//! let refused = VaultClient::new(&stranger).open().await.unwrap_err();
//! assert_eq!(refused.kind(), Some(FailureKind::Denied));
//! # serving.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod content;
mod digits;
mod frames;
mod job;
mod key;
mod reply;
mod request;
mod ring;
mod serving;
mod signatures;

pub use key::{InvalidKey, SigningKey};
pub use ring::KeyRing;

pub(crate) use frames::FrameSignatures;
pub(crate) use serving::ServiceSignatures;
pub(crate) use signatures::Signatures;
