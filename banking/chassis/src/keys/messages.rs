//! Messages on the bus are signed with the keys of passes: what a program asks of others, and what it
//! answers them, it alone can have said. What is signed begins with what it is, so that no pass is ever taken for a message.

use super::{Keys, PassKeys, VerifyingSide, pair::SigningSide, pass_signing};
use anyhow::Context as _;
use contracts::program::{
    ACCOUNT_SERVICE, API_PRODUCER, AUTH_SERVICE, QUEUES, QueueOf, TRANSFER_SERVICE,
};
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use replybus::signature::{KeyRing, SigningKey};

/// A process that is several programs has one bus, and signs as the first of them here: whatever its
/// programs ask for, that one may ask for.
const WIDEST_FIRST: [&str; 4] = [
    API_PRODUCER,
    TRANSFER_SERVICE,
    AUTH_SERVICE,
    ACCOUNT_SERVICE,
];

impl Keys {
    /// The key that a process with these keys signs its requests with, if it may ask anybody.
    ///
    /// # Errors
    /// It can't be read.
    pub fn of_requests(&self) -> anyhow::Result<Option<SigningKey>> {
        let own = self.passes.of_requests();
        own.map(|(program, side)| signing_key(program, side))
            .transpose()
    }
}

impl PassKeys {
    /// The key that a program signs its replies with.
    ///
    /// # Errors
    /// It is not here, or can't be read.
    pub(crate) fn of_replies(&self, program: &str) -> anyhow::Result<SigningKey> {
        let (_, side) = self.signing_of(program).with_context(|| {
            format!(
                "nobody would believe what it answers: {} is missing in the directory of keys; \
                 `bank keys` adds it to those of an older version",
                pass_signing(program)
            )
        })?;
        signing_key(program, side)
    }

    /// The keys whose replies are believed, each from the queues of its program.
    pub(crate) fn services(&self) -> anyhow::Result<KeyRing> {
        let mut ring = KeyRing::new();
        for (program, side) in &self.verifying {
            let own = QUEUES.iter().filter(|of| of.program == *program);
            let own = own.map(|of| of.queue);
            ring = ring.trust_for(&key_name(program, &side.id), public(side)?, own)?;
        }
        Ok(ring)
    }

    /// The keys whose requests a queue believes: of the programs that may ask there, and of its own,
    /// which puts back what it gave up, and has jobs for itself. A process that is more programs than
    /// the queue's asks itself as another of them.
    pub(crate) fn callers(&self, queue: &QueueOf) -> anyhow::Result<KeyRing> {
        let own = self.signing_of(queue.program);
        let asks_itself_as = own.and_then(|_| self.of_requests()).map(|(of, _)| *of);
        self.ring_of(|program| {
            program == queue.program
                || queue.callers.contains(&program)
                || asks_itself_as == Some(program)
        })
    }

    /// The keys that instances of a queue's program sign with that they started a job.
    pub(crate) fn instances(&self, queue: &QueueOf) -> anyhow::Result<KeyRing> {
        self.ring_of(|program| program == queue.program)
    }

    fn ring_of(&self, is_believed: impl Fn(&str) -> bool) -> anyhow::Result<KeyRing> {
        let believed = self.verifying.iter().filter(|(of, _)| is_believed(of));
        let mut ring = KeyRing::new();
        for (program, side) in believed {
            ring = ring.trust(&key_name(program, &side.id), public(side)?)?;
        }
        Ok(ring)
    }

    fn signing_of(&self, program: &str) -> Option<&(&'static str, SigningSide)> {
        self.signing.iter().find(|(of, _)| *of == program)
    }

    /// The key of a process's requests, and whose it is.
    fn of_requests(&self) -> Option<&(&'static str, SigningSide)> {
        let mut widest = WIDEST_FIRST.into_iter();
        widest.find_map(|program| self.signing_of(program))
    }
}

fn signing_key(program: &str, side: &SigningSide) -> anyhow::Result<SigningKey> {
    let pair = ed25519_dalek::SigningKey::from_pkcs8_der(side.key.as_bytes());
    let pair = pair.context("it is no Ed25519 private key")?;
    let name = key_name(program, &side.id);
    Ok(SigningKey::from_bytes(&name, pair.as_bytes())?)
}

fn public(side: &VerifyingSide) -> anyhow::Result<&[u8; 32]> {
    let public = side.key.try_get_as_bytes()?;
    public.try_into().context("a key has 32 bytes")
}

/// A key's name on the bus. While keys are replaced a program has two.
fn key_name(program: &str, id: &str) -> String {
    format!("{program}.{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_believes_who_may_ask_there() {
        let mut keys = Keys::draw().unwrap().passes;
        let callers = |keys: &PassKeys, queue: &str| {
            let queue = contracts::program::queue(queue).unwrap();
            keys.callers(queue).unwrap().len()
        };
        // Who they are is tested over a bus: a message of another is refused.
        for (queue, programs) in [
            ("auth.requests", 2),
            ("account.requests", 4),
            // All programs are one process here, which asks as the gateway.
            ("account.months", 2),
            ("transfer.requests", 2),
            ("transfer.standing", 2),
            ("notification.requests", 2),
        ] {
            assert_eq!(callers(&keys, queue), programs, "{queue}");
        }
        keys.signing.retain(|(of, _)| *of == ACCOUNT_SERVICE);
        assert_eq!(callers(&keys, "account.months"), 1);
        assert_eq!(callers(&keys, "account.requests"), 4);
    }

    #[test]
    fn a_program_without_its_key_says_which_file_is_missing() {
        let mut keys = Keys::draw().unwrap().passes;
        let program = "notification-service";
        let own = keys.of_replies(program).unwrap();
        assert!(own.name().starts_with("notification-service."));
        keys.signing.retain(|(of, _)| *of != program);
        let missing = keys.of_replies(program).unwrap_err().to_string();
        assert!(
            missing.contains("pass-signing-notification-service.pem"),
            "{missing}"
        );
        assert_eq!(keys.services().unwrap().len(), 5);
    }

    #[test]
    fn a_process_signs_as_the_program_that_may_ask_for_most() {
        let mut keys = Keys::draw().unwrap();
        let mut signs_as = Vec::new();
        while let Some(key) = keys.of_requests().unwrap() {
            let (program, _) = key.name().split_once('.').unwrap();
            let program = program.to_owned();
            keys.passes.signing.retain(|(of, _)| *of != program);
            signs_as.push(program);
        }
        assert_eq!(signs_as, WIDEST_FIRST);
        // Each may ask wherever a program behind it may, or nothing would.
        for (position, wider) in WIDEST_FIRST.iter().enumerate() {
            for narrower in &WIDEST_FIRST[position..] {
                for queue in QUEUES
                    .iter()
                    .filter(|queue| queue.callers.contains(narrower))
                {
                    let own = queue.program == *wider;
                    assert!(
                        own || queue.callers.contains(wider),
                        "{wider}: {}",
                        queue.queue
                    );
                }
            }
        }
    }
}
