//! What encoding costs, by format and by size: the framework's two, MessagePack with named maps and
//! JSON, and for comparison MessagePack by position.
#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use replybus::{ContentType, codec};
use serde::{Deserialize, Serialize};
use std::hint::black_box;

/// Postings in a statement: from a small call to a large reply.
const SIZES: [u32; 3] = [1, 10, 100];

/// What a service of a bank might return.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Statement {
    account: String,
    currency: String,
    postings: Vec<Posting>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Posting {
    number: u64,
    minor_units: i64,
    booked_at: u64,
    counterparty: Option<String>,
    reference: String,
}

impl Statement {
    fn with(postings: u32) -> Self {
        let posting = |number: u32| Posting {
            number: u64::from(number),
            minor_units: i64::from(number) * -1_250,
            booked_at: 1_760_000_000_000 + u64::from(number),
            counterparty: number.is_multiple_of(2).then(|| format!("DE{number:020}")),
            reference: format!("invoice {number:08}"),
        };
        Self {
            account: "DE00123456780000000042".to_owned(),
            currency: "EUR".to_owned(),
            postings: (1..=postings).map(posting).collect(),
        }
    }
}

/// A way to write a statement as bytes and to read it again.
struct Format {
    name: &'static str,
    encode: fn(&Statement) -> Vec<u8>,
    decode: fn(&[u8]) -> Statement,
}

#[expect(
    clippy::unwrap_used,
    reason = "a benchmark that can't encode its own data is to stop"
)]
const FORMATS: [Format; 3] = [
    Format {
        name: "msgpack_named",
        encode: |statement| encode(ContentType::MessagePack, statement),
        decode: |bytes| codec::decode(ContentType::MessagePack, bytes).unwrap(),
    },
    Format {
        name: "msgpack_positional",
        encode: |statement| rmp_serde::to_vec(statement).unwrap(),
        decode: |bytes| rmp_serde::from_slice(bytes).unwrap(),
    },
    Format {
        name: "json",
        encode: |statement| encode(ContentType::Json, statement),
        decode: |bytes| codec::decode(ContentType::Json, bytes).unwrap(),
    },
];

#[expect(
    clippy::unwrap_used,
    reason = "a benchmark that can't encode its own data is to stop"
)]
fn encode(content_type: ContentType, statement: &Statement) -> Vec<u8> {
    let body = codec::encode(content_type, statement, usize::MAX);
    body.unwrap().into()
}

fn codecs(criterion: &mut Criterion) {
    for Format {
        name,
        encode,
        decode,
    } in FORMATS
    {
        let mut group = criterion.benchmark_group(name);
        for postings in SIZES {
            let statement = Statement::with(postings);
            let bytes = encode(&statement);
            assert_eq!(decode(&bytes), statement);
            // The size is part of the name: it is half of the result.
            let size = format!("{postings} postings, {} bytes", bytes.len());
            group.throughput(Throughput::Elements(1));
            group.bench_with_input(
                BenchmarkId::new("encode", &size),
                &statement,
                |bencher, statement| {
                    bencher.iter(|| encode(black_box(statement)));
                },
            );
            group.bench_with_input(
                BenchmarkId::new("decode", &size),
                &bytes,
                |bencher, bytes| {
                    bencher.iter(|| decode(black_box(bytes)));
                },
            );
        }
        group.finish();
    }
}

criterion_group!(benches, codecs);
criterion_main!(benches);
