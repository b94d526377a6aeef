//! Method frames: the arguments of all that a broker sends, of which the texts are others' words.

use super::{
    closes::ChannelClose,
    fields::{Fault, Fields},
};

/// An argument, by the way it is written.
#[derive(Clone, Copy)]
enum Argument {
    /// Integers and bits of so many bytes.
    Bytes(usize),
    Short,
    Long,
    Table,
}

use Argument::{Bytes, Long, Short, Table};

/// The method that says how large frames may be.
const TUNE: (u16, u16) = (10, 30);

/// The methods that come before a content header and name an exchange and a routing key, which a
/// publisher chose.
const DELIVER: (u16, u16) = (60, 60);
const GET_OK: (u16, u16) = (60, 71);

/// The methods by which a channel begins, and by which the broker ends one.
const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
const CHANNEL_CLOSE: (u16, u16) = (20, 40);

/// The arguments of a method that a client may be sent.
const fn arguments(method: (u16, u16)) -> Option<&'static [Argument]> {
    Some(match method {
        // connection: start, secure, tune, open-ok, close, close-ok, blocked, unblocked,
        // update-secret-ok
        (10, 10) => &[Bytes(2), Table, Long, Long],
        (10, 20) => &[Long],
        TUNE => &[Bytes(2), Bytes(4), Bytes(2)],
        (10, 41 | 60) => &[Short],
        (10, 51 | 61 | 71) => &[],
        // channel: open-ok, flow, flow-ok, close, close-ok
        CHANNEL_OPEN_OK => &[Long],
        (20, 20 | 21) => &[Bytes(1)],
        (10, 50) | CHANNEL_CLOSE => &[Bytes(2), Short, Bytes(4)],
        (20, 41) => &[],
        // access: request-ok
        (30, 11) => &[Bytes(2)],
        // exchange: declare-ok, delete-ok, bind-ok, unbind-ok
        (40, 11 | 21 | 31 | 51) => &[],
        // queue: declare-ok, bind-ok, purge-ok, delete-ok, unbind-ok
        (50, 11) => &[Short, Bytes(8)],
        (50, 21 | 51) => &[],
        (50, 31 | 41) => &[Bytes(4)],
        // basic: qos-ok, consume-ok, cancel, cancel-ok, return, deliver, get-ok, get-empty, ack,
        // recover-ok, nack
        (60, 11 | 111) => &[],
        (60, 21 | 31 | 72) => &[Short],
        (60, 30) => &[Short, Bytes(1)],
        (60, 50) => &[Bytes(2), Short, Short, Short],
        DELIVER => &[Short, Bytes(9), Short, Short],
        GET_OK => &[Bytes(9), Short, Short, Bytes(4)],
        (60, 80 | 120) => &[Bytes(9)],
        // confirm: select-ok; tx: select-ok, commit-ok, rollback-ok
        (85, 11) | (90, 11 | 21 | 31) => &[],
        _ => return None,
    })
}

/// A method that lapin can read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// The broker's word on the size of frames; 0 is without limit.
    Tune {
        frame_max: u32,
    },
    /// A message follows; `mended` if its exchange or routing key is not what the publisher wrote.
    Content {
        mended: bool,
    },
    ChannelOpened,
    ChannelClosed(ChannelClose),
    Other,
}

/// Reads a method. A text in it that is not UTF-8 is mended in its place: each byte that belongs to
/// no character becomes a `?`.
///
/// # Errors
/// It is none that a broker sends, or its arguments are not what they should be.
pub(super) fn mend(payload: &mut [u8]) -> Result<Method, Fault> {
    let mut fields = Fields(payload);
    let method = (fields.u16()?, fields.u16()?);
    let layout = arguments(method).ok_or(Fault::Ends)?;
    let mut is_whole = true;
    for argument in layout {
        match argument {
            Bytes(count) => drop(fields.take(*count)?),
            Long => drop(fields.long()?),
            Table => fields.table()?,
            Short => match fields.short() {
                Err(Fault::NotUtf8) => is_whole = false,
                read => drop(read?),
            },
        }
    }
    if !fields.is_empty() {
        return Err(Fault::Ends);
    }
    if !is_whole {
        mend_texts(payload.get_mut(4..).unwrap_or_default(), layout);
    }
    let mut arguments = Fields(payload.get(4..).unwrap_or_default());
    Ok(match method {
        TUNE => {
            arguments.u16()?;
            let frame_max = arguments.u32()?;
            Method::Tune { frame_max }
        }
        DELIVER | GET_OK => Method::Content { mended: !is_whole },
        CHANNEL_OPEN_OK => Method::ChannelOpened,
        CHANNEL_CLOSE => Method::ChannelClosed(ChannelClose {
            code: arguments.u16()?,
            text: arguments.short()?.to_owned(),
            method: (arguments.u16()?, arguments.u16()?),
        }),
        _ => Method::Other,
    })
}

/// Mends the texts among arguments that were read before.
fn mend_texts(arguments: &mut [u8], layout: &[Argument]) {
    let mut left = arguments;
    for argument in layout {
        let length = match argument {
            Bytes(count) => *count,
            Short => {
                let length = left.first().copied().unwrap_or_default().into();
                mend_text(left.get_mut(1..=length).unwrap_or_default());
                1 + length
            }
            // No method has both a text and one of these before it.
            Long | Table => return,
        };
        left = left.get_mut(length..).unwrap_or_default();
    }
}

fn mend_text(text: &mut [u8]) {
    let mut left = text;
    while let Err(error) = std::str::from_utf8(left) {
        let wrong = error
            .error_len()
            .unwrap_or(left.len() - error.valid_up_to());
        let from_wrong = std::mem::take(&mut left).get_mut(error.valid_up_to()..);
        let split = from_wrong.and_then(|bytes| bytes.split_at_mut_checked(wrong));
        let Some((wrong, rest)) = split else { return };
        wrong.fill(b'?');
        left = rest;
    }
}
