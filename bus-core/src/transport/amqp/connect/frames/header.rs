//! Content headers: whether lapin can read one, and what takes the place of one that it can't.

use super::{
    fields::{Fault, Fields, ValueFault},
    marker::{Marker, Notes},
};

/// Bytes before the properties: class, weight, size of the body, flags.
const FIXED: usize = 14;

/// The flag that says that more flags follow. No property has ever needed it, and lapin reads on as
/// if it were not there.
const MORE_FLAGS: u16 = 1;

/// The properties of the class `basic`, from the highest flag down.
const PROPERTIES: [(&str, Kind); 14] = [
    ("content_type", Kind::Short),
    ("content_encoding", Kind::Short),
    ("headers", Kind::Headers),
    ("delivery_mode", Kind::Bytes(1)),
    ("priority", Kind::Bytes(1)),
    ("correlation_id", Kind::Short),
    ("reply_to", Kind::Short),
    ("expiration", Kind::Short),
    ("message_id", Kind::Short),
    ("timestamp", Kind::Bytes(8)),
    ("type", Kind::Short),
    ("user_id", Kind::Short),
    ("app_id", Kind::Short),
    ("cluster_id", Kind::Short),
];

/// Bytes of a header's name that a reason shows.
const NAME_SHOWN: usize = 32;

/// The flag of `cluster_id`, the last property, which AMQP 0-9-1 has reserved.
const CLUSTER_ID: u16 = 1 << 2;

#[derive(Clone, Copy)]
enum Kind {
    Short,
    Headers,
    Bytes(usize),
}

/// The flag of the property at `position`.
const fn flag(position: usize) -> u16 {
    (1 << 15) >> position
}

/// `true` if lapin's parser reads this payload of a content header, to its end, on a bounded stack.
pub(super) fn is_readable(payload: &[u8]) -> bool {
    let mut fields = Fields(payload);
    read_all(&mut fields).is_ok() && fields.is_empty()
}

fn read_all(fields: &mut Fields<'_>) -> Result<(), Fault> {
    fields.take(FIXED - 2)?;
    let flags = fields.u16()?;
    if flags & MORE_FLAGS != 0 {
        return Err(Fault::Ends);
    }
    for (position, (_, kind)) in PROPERTIES.iter().enumerate() {
        if flags & flag(position) == 0 {
            continue;
        }
        match kind {
            Kind::Short => drop(fields.short()?),
            Kind::Headers => fields.table()?,
            Kind::Bytes(count) => drop(fields.take(*count)?),
        }
    }
    Ok(())
}

/// A content header of the same class and body in the place of one that lapin can't read: with the
/// marker and the reasons, and with every property and header that is readable, as far as they fit
/// into `payload_max` bytes. `None` if not even the size of the body is there.
pub(super) fn replacement(
    payload: &[u8],
    marker: &Marker,
    mut notes: Notes,
    payload_max: usize,
) -> Option<Vec<u8>> {
    let mut fields = Fields(payload);
    let class_and_size = fields.take(FIXED - 2).ok()?;
    let mut kept = Kept::read(&mut fields, &mut notes);
    kept.leave_out_headers(payload_max, &mut notes);
    let (flags, properties) = kept.encode(&marker.note(&notes));
    Some([class_and_size, &flags.to_be_bytes(), &properties].concat())
}

/// The readable parts of a content header, as they came.
struct Kept<'a> {
    /// Each property but the headers, its length included.
    properties: [Option<&'a [u8]>; PROPERTIES.len()],
    /// The entries of the table of headers, if there is one.
    headers: Option<Vec<&'a [u8]>>,
}

impl<'a> Kept<'a> {
    /// Reads the flags and properties, and notes what can't be read.
    fn read(fields: &mut Fields<'a>, notes: &mut Notes) -> Self {
        let mut kept = Self {
            properties: [None; PROPERTIES.len()],
            headers: None,
        };
        let Ok(flags) = fields.u16() else {
            notes.add(format_args!("the flags of the properties are missing"));
            return kept;
        };
        let mut more = flags;
        while more & MORE_FLAGS != 0 {
            notes.add(format_args!("it has flags of unknown properties"));
            let Ok(next) = fields.u16() else { return kept };
            more = next;
        }
        for (position, ((name, kind), slot)) in
            PROPERTIES.iter().zip(&mut kept.properties).enumerate()
        {
            if flags & flag(position) == 0 {
                continue;
            }
            let start = fields.0;
            let read = match kind {
                Kind::Short => fields.short().map(drop),
                Kind::Bytes(count) => fields.take(*count).map(drop),
                Kind::Headers => fields.long().map(|table| {
                    kept.headers = Some(readable_headers(table, notes));
                }),
            };
            match read {
                Ok(()) if !matches!(kind, Kind::Headers) => {
                    *slot = start.get(..start.len() - fields.0.len());
                }
                Ok(()) => {}
                Err(fault) => {
                    notes.add(format_args!("{name} {fault}"));
                    if fault == Fault::Ends {
                        // Where the next one begins is not known.
                        return kept;
                    }
                }
            }
        }
        if !fields.is_empty() {
            notes.add(format_args!("bytes follow the last property"));
        }
        kept
    }

    /// Leaves out the headers that there is no room for after those before them.
    fn leave_out_headers(&mut self, payload_max: usize, notes: &mut Notes) {
        let Some(headers) = &mut self.headers else {
            return;
        };
        let others: usize = self.properties.iter().flatten().map(|raw| raw.len()).sum();
        let room = payload_max.saturating_sub(FIXED + 4 + others + Marker::BYTES_MAX);
        let (mut taken, before) = (0, headers.len());
        headers.retain(|header| {
            let fits = taken + header.len() <= room;
            taken += if fits { header.len() } else { 0 };
            fits
        });
        let left_out = before - headers.len();
        if left_out > 0 {
            notes.add(format_args!("{left_out} headers too large to read"));
        }
    }

    /// Flags and properties, with `note` as the cluster id.
    fn encode(&self, note: &str) -> (u16, Vec<u8>) {
        let mut flags = CLUSTER_ID;
        let mut bytes = Vec::new();
        for (position, ((_, kind), raw)) in PROPERTIES.iter().zip(&self.properties).enumerate() {
            let flag = flag(position);
            if let (Kind::Headers, Some(headers)) = (kind, &self.headers) {
                let table = headers.concat();
                flags |= flag;
                bytes.extend(u32::try_from(table.len()).unwrap_or(u32::MAX).to_be_bytes());
                bytes.extend(table);
            } else if let Some(raw) = raw
                && flag != CLUSTER_ID
            {
                flags |= flag;
                bytes.extend_from_slice(raw);
            }
        }
        bytes.push(u8::try_from(note.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(note.as_bytes());
        (flags, bytes)
    }
}

/// The entries of a table of headers that can be read; what is wrong with the others is noted.
fn readable_headers<'a>(table: &'a [u8], notes: &mut Notes) -> Vec<&'a [u8]> {
    let mut readable = Vec::new();
    let mut fields = Fields(table);
    while !fields.is_empty() {
        let start = fields.0;
        let name = match fields.short_bytes() {
            Ok(name) => name,
            Err(fault) => {
                notes.add(format_args!("headers: the name of one {fault}"));
                break;
            }
        };
        let text = std::str::from_utf8(name);
        let shown = String::from_utf8_lossy(name.get(..NAME_SHOWN).unwrap_or(name));
        match fields.value() {
            Ok(()) if text.is_ok() => readable.extend(start.get(..start.len() - fields.0.len())),
            Ok(()) => notes.add(format_args!("the name of header {shown:?} is not UTF-8")),
            Err(ValueFault::Within(fault)) => notes.add(format_args!("header {shown:?} {fault}")),
            Err(ValueFault::Lost(fault)) => {
                notes.add(format_args!("header {shown:?} {fault}"));
                break;
            }
        }
    }
    readable
}
