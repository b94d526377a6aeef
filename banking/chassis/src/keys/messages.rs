//! Messages on the bus are signed with the keys of passes: what a program asks of others, it alone can
//! have asked. What is signed begins with what it is, so that no pass is ever taken for a message.

use super::{Keys, PassKeys, pair::SigningSide};
use anyhow::Context as _;
use contracts::program::{ACCOUNT_SERVICE, API_PRODUCER, AUTH_SERVICE, QueueOf, TRANSFER_SERVICE};
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
        let signing = &self.passes.signing;
        let find = |program| signing.iter().find(|(of, _)| *of == program);
        let own = WIDEST_FIRST.into_iter().find_map(find);
        own.map(|(program, side)| signing_key(program, side))
            .transpose()
    }
}

impl PassKeys {
    /// The keys whose requests a queue believes: of the programs that may ask there, and of its own,
    /// which puts back what it gave up.
    pub(crate) fn callers(&self, queue: &QueueOf) -> anyhow::Result<KeyRing> {
        let mut ring = KeyRing::new();
        for (program, side) in &self.verifying {
            if *program != queue.program && !queue.callers.contains(program) {
                continue;
            }
            let public = side.key.try_get_as_bytes()?;
            let public = public.try_into().context("a key has 32 bytes")?;
            ring = ring.trust(&key_name(program, &side.id), public)?;
        }
        Ok(ring)
    }
}

fn signing_key(program: &str, side: &SigningSide) -> anyhow::Result<SigningKey> {
    let pair = ed25519_dalek::SigningKey::from_pkcs8_der(side.key.as_bytes());
    let pair = pair.context("it is no Ed25519 private key")?;
    let name = key_name(program, &side.id);
    Ok(SigningKey::from_bytes(&name, pair.as_bytes())?)
}

/// A key's name on the bus. While keys are replaced a program has two.
fn key_name(program: &str, id: &str) -> String {
    format!("{program}.{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::program::QUEUES;

    /// Which programs the keys of a ring are of, by whether each is in it.
    fn believed(keys: &PassKeys, queue: &QueueOf) -> Vec<&'static str> {
        let all = keys.callers(queue).unwrap().len();
        let programs: Vec<_> = keys
            .verifying
            .iter()
            .map(|(program, _)| *program)
            .filter(|program| *program == queue.program || queue.callers.contains(program))
            .collect();
        assert_eq!(programs.len(), all);
        programs
    }

    #[test]
    fn a_queue_believes_who_may_ask_there() {
        let keys = Keys::draw().unwrap().passes;
        for queue in QUEUES {
            assert!(believed(&keys, &queue).len() <= 1 + queue.callers.len());
        }
        let transfers = contracts::program::queue("transfer.requests").unwrap();
        assert_eq!(believed(&keys, transfers), [TRANSFER_SERVICE, API_PRODUCER]);
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
