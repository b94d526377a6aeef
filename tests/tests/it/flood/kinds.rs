//! What the stranger publishes: a message of each kind.

use crate::malformed;
use replybus::{CallId, limits};
use replybus_testkit::publisher::{long, short};

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It is kept as a dead letter.
    Kept,
    /// Who sent it is told.
    Told,
    /// It is odd and right: it runs, once however often it comes.
    Run,
}

/// A message of the flood.
pub(super) struct Drop {
    pub(super) name: String,
    pub(super) properties: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) fate: Fate,
}

/// Positions of properties among the flags of a content header: AMQP 0-9-1, section 4.2.6.1.
const CONTENT_TYPE: u16 = 1 << 15;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const MESSAGE_ID: u16 = 1 << 7;
const KIND: u16 = 1 << 5;

type Property = (u16, Vec<u8>);

/// Properties, with their flags before them and in their order.
fn properties(mut parts: Vec<Property>) -> Vec<u8> {
    parts.sort_by_key(|(flag, _)| std::cmp::Reverse(*flag));
    let flags = parts.iter().fold(0, |flags, (flag, _)| flags | flag);
    let values = parts.into_iter().flat_map(|(_, value)| value);
    flags.to_be_bytes().into_iter().chain(values).collect()
}

fn persistent() -> Property {
    (DELIVERY_MODE, vec![2])
}

fn content_type(name: &str) -> Property {
    (CONTENT_TYPE, short(name.as_bytes()))
}

fn json() -> Property {
    content_type("application/json")
}

fn method(name: &str) -> Property {
    (KIND, short(name.as_bytes()))
}

/// A good one-way call of `note`, but for its headers.
fn headers(entries: &[u8]) -> Vec<u8> {
    let headers = (HEADERS, long(entries));
    properties(vec![headers, json(), persistent(), method("note")])
}

/// A good one-way call of `note`, but for its content type.
fn typed(name: &str) -> Vec<u8> {
    properties(vec![content_type(name), persistent(), method("note")])
}

fn value(name: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
    [short(name), vec![kind], value.to_vec()].concat()
}

fn text(name: &[u8], text: &[u8]) -> Vec<u8> {
    value(name, b'S', &long(text))
}

fn many(count: u32) -> Vec<u8> {
    let entry = |number| text(format!("h{number}").as_bytes(), b"0123456789");
    (0..count).flat_map(entry).collect()
}

const GOOD: &[u8] = br#"{"name":"never"}"#;

fn drop(fate: Fate, name: &str, properties: Vec<u8>, body: &[u8]) -> Drop {
    Drop {
        name: name.to_owned(),
        properties,
        body: body.to_vec(),
        fate,
    }
}

fn kept(name: &str, properties: Vec<u8>, body: &[u8]) -> Drop {
    drop(Fate::Kept, name, properties, body)
}

/// What no client library would send: they are all the same to a service and a group.
fn malformed() -> impl Iterator<Item = Drop> {
    let kinds = malformed::kinds().into_iter();
    kinds.map(|kind| kept(&format!("malformed: {}", kind.name), kind.properties, b"{}"))
}

/// What a letter of a mistake that is not malformed says of it.
pub(super) fn mistake_of(name: &str) -> Option<&'static str> {
    let mistakes = [
        (
            "a key that is a float",
            "header idempotency-key: it has no value",
        ),
        ("a key of 300 bytes", "idempotency key: 300 bytes"),
        (
            "a deadline that is a decimal",
            "header deadline: it has no value",
        ),
        ("a deadline in words", "header deadline: milliseconds"),
        ("no such encoding", "\"text/plain\""),
        ("another charset", "charset=utf-16"),
        ("arguments by position", "by the names of its fields"),
        ("no such argument", "missing field"),
        ("an argument of another type", "invalid type"),
        ("a field twice", "duplicate field"),
        ("no such method", "erase"),
        ("an id that is none", "correlation_id"),
    ];
    let known = mistakes.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, mistake)| mistake)
}

/// One of each kind for the service, each with an id of its own where it has one.
pub(super) fn of_requests() -> Vec<Drop> {
    let mut drops = bad_headers();
    drops.extend(bad_bodies());
    drops.extend(bad_names());
    drops.extend(odd());
    drops.extend(malformed());
    drops
}

fn bad_headers() -> Vec<Drop> {
    let unknown = |entries: &[u8]| {
        let headers = (HEADERS, long(entries));
        properties(vec![headers, json(), persistent(), method("erase")])
    };
    let key = |kind, bytes: &[u8]| headers(&value(b"idempotency-key", kind, bytes));
    vec![
        kept(
            "headers of 70,000 bytes",
            unknown(&text(b"large", &[b'x'; 70_000])),
            GOOD,
        ),
        kept("2,000 headers", unknown(&many(2000)), GOOD),
        kept("a key that is a float", key(b'f', &[0; 4]), GOOD),
        kept("a key that is a list", key(b'A', &long(b"")), GOOD),
        kept("a key that is no text", key(b'x', &long(b"\xff")), GOOD),
        kept("a key of 300 bytes", key(b'S', &long(&[b'k'; 300])), GOOD),
        kept(
            "a key behind 80 headers that is a float",
            headers(&[many(80), value(b"idempotency-key", b'f', &[0; 4])].concat()),
            GOOD,
        ),
        kept(
            "a deadline that is a decimal",
            headers(&value(b"deadline", b'D', &[0; 5])),
            GOOD,
        ),
        kept(
            "a deadline in words",
            headers(&text(b"deadline", b"tomorrow")),
            GOOD,
        ),
    ]
}

fn bad_bodies() -> Vec<Drop> {
    let json = || typed("application/json");
    let msgpack = || typed("application/msgpack");
    let nested = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let large = vec![b' '; limits::REQUEST_BYTES_MAX + 1];
    vec![
        kept("no such encoding", typed("text/plain"), GOOD),
        kept(
            "another charset",
            typed("application/json; charset=utf-16"),
            GOOD,
        ),
        kept("arguments by position", json(), br#"["never"]"#),
        kept("no such argument", json(), br#"{"title":"never"}"#),
        kept("an argument of another type", json(), br#"{"name":7}"#),
        kept(
            "a field twice",
            json(),
            br#"{"name":"never","name":"never"}"#,
        ),
        kept("text after the value", json(), br#"{"name":"never"} {}"#),
        kept("deep", json(), nested.as_bytes()),
        kept("not UTF-8", json(), b"{\"name\":\"\xff\"}"),
        kept("empty", json(), b""),
        kept("not MessagePack", msgpack(), &[0xc1; 64]),
        kept(
            "arguments by position in MessagePack",
            msgpack(),
            b"\x91\xa5never",
        ),
        kept(
            "a map without its entries",
            msgpack(),
            b"\xdf\xff\xff\xff\xff",
        ),
        kept("large", json(), &large),
    ]
}

fn bad_names() -> Vec<Drop> {
    let id = |id: &str| (CORRELATION_ID, short(id.as_bytes()));
    let to = |inbox: &str| (REPLY_TO, short(inbox.as_bytes()));
    vec![
        kept("no method", properties(vec![json(), persistent()]), GOOD),
        kept(
            "no such method",
            properties(vec![json(), persistent(), method("erase")]),
            GOOD,
        ),
        kept(
            "an id that is none",
            properties(vec![json(), persistent(), id("17"), method("note")]),
            GOOD,
        ),
        drop(
            Fate::Told,
            "an inbox that is somebody's key",
            properties(vec![
                json(),
                persistent(),
                id(&CallId::new().to_string()),
                to("session:admin"),
                method("note"),
            ]),
            GOOD,
        ),
    ]
}

/// What is read though few would write it so. Each has a key, under which it runs once.
fn odd() -> Vec<Drop> {
    let odd = |name: &str, properties| {
        let body = format!(r#"{{"name":"{name}"}}"#);
        drop(Fate::Run, name, properties, body.as_bytes())
    };
    let key = |name: &[u8]| text(b"idempotency-key", name);
    let with = |name: &str, key: Vec<u8>| {
        let headers = (HEADERS, long(&key));
        properties(vec![
            content_type(name),
            headers,
            persistent(),
            method("note"),
        ])
    };
    vec![
        odd(
            "a key as bytes",
            headers(&value(b"idempotency-key", b'x', &long(b"as bytes"))),
        ),
        odd(
            "a key behind 80 headers",
            headers(&[many(80), key(b"behind 80 headers")].concat()),
        ),
        odd(
            "parameters of a content type",
            with(
                "Application/JSON; charset=\"UTF-8\"; profile=x",
                key(b"parameters"),
            ),
        ),
    ]
}

/// One of each kind for the group.
pub(super) fn of_events() -> Vec<Drop> {
    let event = |parts: Vec<Property>| properties([vec![json(), persistent()], parts].concat());
    let taken = || event(vec![method("note.taken")]);
    let mut drops = vec![
        // Its id is how it is known when it comes again.
        drop(
            Fate::Run,
            "an event without a type",
            event(vec![(MESSAGE_ID, short(b"odd"))]),
            br#"{"number":9000000}"#,
        ),
        kept(
            "another event",
            event(vec![method("note.lost")]),
            br#"{"number":9000000}"#,
        ),
        kept("an event by position", taken(), b"[9000000]"),
        kept("an event of another form", taken(), br#"{"number":"one"}"#),
        kept(
            "an event with a field twice",
            taken(),
            br#"{"number":1,"number":2}"#,
        ),
        kept("an event that is not UTF-8", taken(), b"{\"\xff\":1}"),
        kept("an event that is empty", taken(), b""),
        kept(
            "an event that is large",
            taken(),
            &vec![b' '; limits::REQUEST_BYTES_MAX + 1],
        ),
        kept(
            "an event with headers of 70,000 bytes",
            event(vec![
                (HEADERS, long(&text(b"large", &[b'x'; 70_000]))),
                method("note.lost"),
            ]),
            br#"{"number":9000000}"#,
        ),
    ];
    drops.extend(malformed());
    drops
}
