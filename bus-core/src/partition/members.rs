//! The members: the instances that share the partitions of a contract, as the store knows them, and
//! which of them is to have which.

use crate::{
    limits::MEMBERS_LOOKED_AT_EVERY,
    presence::{Instance, InstanceId},
    reply::ReplyStore,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// Those that serve a contract now. None of them are known where the store can't be asked: then
/// everybody keeps what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Members(Arc<[InstanceId]>);

impl Members {
    /// The member that is to have a partition: of all pairs of it and a member the one of the highest
    /// hash. Who comes or goes changes nothing between the others (rendezvous hashing).
    pub(super) fn preferred(&self, partition: u16) -> Option<InstanceId> {
        let members = self.0.iter().copied();
        members.max_by_key(|member| (weight(*member, partition), *member))
    }
}

/// The first 8 bytes of the SHA-256 of an instance and a partition.
fn weight(member: InstanceId, partition: u16) -> u64 {
    let mut hash = Sha256::new();
    hash.update(member.as_bytes());
    hash.update(partition.to_be_bytes());
    let digest = hash.finalize();
    let first = digest.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first)
}

/// Looks for the members of `queue`, a name without the namespace, for as long as it is polled.
pub(super) async fn watch(
    store: Arc<dyn ReplyStore>,
    queue: String,
    partitions: u16,
    members: watch::Sender<Members>,
) {
    loop {
        let present = timeout(MEMBERS_LOOKED_AT_EVERY, store.present(&queue)).await;
        let known = match present {
            Ok(Ok(records)) => {
                let instances = records.iter().filter_map(|record| Instance::read(record));
                let shares = |instance: &Instance| {
                    instance.partitions == Some(partitions) && !instance.draining
                };
                let mut known: Vec<_> = instances.filter(shares).map(|one| one.id).collect();
                known.sort_unstable();
                Members(known.into())
            }
            _ => Members::default(),
        };
        members.send_if_modified(|before| {
            let is_new = *before != known;
            *before = known;
            is_new
        });
        sleep(MEMBERS_LOOKED_AT_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: u8) -> Vec<InstanceId> {
        (0..count)
            .map(|number| InstanceId::from_bytes([number; 16]))
            .collect()
    }

    #[test]
    fn each_has_its_part_and_who_goes_leaves_only_its_own_to_others() {
        let all = members(4);
        let before = Members(all.clone().into());
        let after = Members(all.get(1..).unwrap().into());
        let mut counts = [0; 4];
        for partition in 0..256 {
            let had = before.preferred(partition).unwrap();
            counts[usize::from(had.as_bytes()[0])] += 1;
            if had != all[0] {
                assert_eq!(after.preferred(partition), Some(had));
            }
        }
        assert!(counts.iter().all(|count| *count > 30), "{counts:?}");
        assert_eq!(Members::default().preferred(0), None);
    }

    /// As a member in another language must have it.
    #[test]
    fn a_weight_is_the_same_everywhere() {
        let member = InstanceId::from_bytes([7; 16]);
        assert_eq!(weight(member, 3), WEIGHT_OF_SEVENS);
    }

    /// `hashlib.sha256(bytes([7] * 16) + (3).to_bytes(2, "big")).digest()[:8]`
    const WEIGHT_OF_SEVENS: u64 = 0x6098_a097_c220_c07a;
}
