//! Several replies in one entry of an inbox: a MessagePack array of pairs, each the 16 bytes of a
//! call id and a frame, as binary data.

use bytes::Bytes;
use replybus::CallId;
use rmp::{decode, encode};

/// Pairs that are read of one group; what is after them is passed over. Many times what is
/// written.
const PAIRS_MAX: u32 = 4096;
/// Bytes beside a frame: the pair, the id and the lengths.
const PAIR_BYTES: usize = 1 + 2 + 16 + 5;

/// Writes a group. `None` if it is too large for its form, which nothing is that a bus sends.
pub(crate) fn encode<'a>(
    replies: impl ExactSizeIterator<Item = (CallId, &'a Bytes)> + Clone,
) -> Option<Vec<u8>> {
    let bytes: usize = replies
        .clone()
        .map(|(_, frame)| PAIR_BYTES + frame.len())
        .sum();
    let mut group = Vec::with_capacity(5 + bytes);
    encode::write_array_len(&mut group, replies.len().try_into().ok()?).ok()?;
    for (id, frame) in replies {
        encode::write_array_len(&mut group, 2).ok()?;
        encode::write_bin(&mut group, id.as_bytes()).ok()?;
        encode::write_bin_len(&mut group, frame.len().try_into().ok()?).ok()?;
        group.extend_from_slice(frame);
    }
    Some(group)
}

/// Reads a group, which may be anything, as far as it is one. The frames are parts of it.
pub(crate) fn decode(group: &Bytes) -> impl Iterator<Item = (CallId, Bytes)> {
    let mut rest = &group[..];
    let pairs = decode::read_array_len(&mut rest).unwrap_or(0);
    (0..pairs.min(PAIRS_MAX)).map_while(move |_| {
        (decode::read_array_len(&mut rest).ok()? == 2).then_some(())?;
        let id = CallId::from_bytes(take(&mut rest)?.try_into().ok()?);
        Some((id, group.slice_ref(take(&mut rest)?)))
    })
}

/// Takes binary data off the beginning, if all of it is there.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let bytes = decode::read_bin_len(rest).ok()?;
    let (data, after) = rest.split_at_checked(bytes.try_into().ok()?)?;
    *rest = after;
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn ids() -> impl Strategy<Value = CallId> {
        any::<[u8; 16]>().prop_map(CallId::from_bytes)
    }

    fn frames() -> impl Strategy<Value = Bytes> {
        let sizes = prop_oneof![0..40_usize, 250..260_usize, 65_530..65_540_usize];
        sizes.prop_map(|size| vec![7; size].into())
    }

    #[test]
    fn a_group_is_what_the_protocol_says() {
        let id = CallId::from_bytes([0x11; 16]);
        let frame = Bytes::from_static(b"ok");
        let group = encode([(id, &frame)].into_iter()).unwrap();
        let mut bytes = vec![0x91, 0x92, 0xc4, 0x10];
        bytes.extend([0x11; 16]);
        bytes.extend([0xc4, 2, b'o', b'k']);
        assert_eq!(group, bytes);
    }

    proptest! {
        #[test]
        fn a_group_is_read_as_it_was_written(replies in vec((ids(), frames()), 0..70)) {
            let group = encode(replies.iter().map(|(id, frame)| (*id, frame))).unwrap();
            let read: Vec<_> = decode(&group.into()).collect();
            prop_assert_eq!(read, replies);
        }

        #[test]
        fn a_group_that_was_cut_keeps_what_is_before(
            replies in vec((ids(), frames()), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut group = encode(replies.iter().map(|(id, frame)| (*id, frame))).unwrap();
            group.truncate(cut.index(group.len()));
            let read: Vec<_> = decode(&group.into()).collect();
            prop_assert!(read.len() < replies.len());
            prop_assert_eq!(&read[..], &replies[..read.len()]);
        }

        #[test]
        fn any_bytes_are_read_as_far_as_they_go(bytes in vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let read: usize = decode(&bytes).map(|(_, frame)| 16 + frame.len()).sum();
            prop_assert!(read <= bytes.len());
        }
    }

    #[test]
    fn a_group_that_says_it_is_endless_is_not() {
        let mut group = vec![0xdd, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decode(&group.clone().into()).count(), 0);
        for _ in 0..5_000 {
            group.extend([0x92, 0xc4, 0x10]);
            group.extend([1; 16]);
            group.extend([0xc4, 0]);
        }
        assert_eq!(decode(&group.into()).count(), 4_096);
    }
}
