"""The bytes of the protocol, as its page shows them, and what comes from the wire malformed."""

from __future__ import annotations

import struct
import unittest

from pamqp import frame as wire
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from replybus import JSON, MSGPACK, CallFailed, HandlerError, Method, frames, replies, stream_frames
from replybus.bundles import entry
from replybus.codec import content_type_of, decode, encode
from replybus.message import Message, unbundled
from replybus.names import Names
from replybus.request import Request

CALL = "018f6d1c-5e7a-7b3c-8d9e-0f1a2b3c4d5e"
ENTRY = bytes.fromhex(
    "00000033 000003e8 00 018f6d1c5e7a7b3c8d9e0f1a2b3c4d5e 07 62616c616e6365 01 06 74656e616e74"
    "0001 62 81 a7 6163636f756e74 a1 61"
)


def request() -> Request:
    body = encode(MSGPACK, {"account": "a"})
    method = Method("account.requests", "balance", is_command=False)
    headers = {"tenant": "b"}
    return Request(CALL, method, method.queue, MSGPACK, body, 2, 0, 0, None, None, headers)


class Bytes(unittest.TestCase):
    def test_replies_are_those_of_the_page(self) -> None:
        self.assertEqual(replies.value(MSGPACK, 5).hex(), "82a6737461747573a26f6ba4626f647905")
        self.assertEqual(replies.value(JSON, 5), b'{"status":"ok","body":5}')
        no = replies.handler_error(MSGPACK, "no")
        self.assertEqual(no.hex()[:28], "83a6737461747573a56572726f72")
        with self.assertRaises(HandlerError):
            replies.read(no, CALL)
        late = replies.fault(JSON, CallFailed("expired", "late"))
        self.assertEqual(
            late,
            b'{"status":"error","code":"expired","message":"late","may_have_executed":false}',
        )
        for frame in (b"", b"{", b"[]", b'{"status":"ok"}', b"\xc1", b"\x80"):
            with self.assertRaises(CallFailed) as raised:
                replies.read(frame, CALL)
            self.assertTrue(raised.exception.may_have_executed)

    def test_groups_come_apart(self) -> None:
        group = bytes.fromhex(f"92 92 c410 {'01' * 16} c402 6f6b 92 c410 {'02' * 16} c402 6e6f")
        self.assertEqual([frame for _, frame in replies.group(group)], [b"ok", b"no"])
        for no_group in (b"", b"\x91\x01", b"\xc1", group[:-1]):
            self.assertEqual(replies.group(no_group), [])

    def test_bundles_are_those_of_the_page(self) -> None:
        self.assertEqual(entry(request(), sooner_ms=1000), ENTRY)
        bundle = Message(ENTRY, headers={"deadline": "5000"}, expiration="3000")
        (one,) = unbundled(bundle)
        self.assertEqual((one.correlation_id, one.kind, one.expiration), (CALL, "balance", "2000"))
        self.assertEqual(one.headers, {"tenant": "b", "deadline": "4000"})
        # Cut anywhere it is no bundle, or an entry that is a bad request by itself.
        for end in range(1, len(ENTRY)):
            with self.assertRaises(CallFailed):
                unbundled(Message(ENTRY[:end], headers={"deadline": "5000"}))
            data = ENTRY[4 : 4 + end]
            shorter = struct.pack(">I", len(data)) + data
            for cut in unbundled(Message(shorter, headers={"deadline": "5000"})):
                self.assertTrue(cut.malformed() or cut.body != b"" or end >= 40, end)

    def test_frames_are_those_of_the_page(self) -> None:
        items = bytes.fromhex("c1 00 01020304 0000000000000005 00000001 05 00000001 06")
        read = stream_frames.read(items)
        assert read is not None
        self.assertEqual((read.number, read.items()), (5, [b"\x05", b"\x06"]))
        self.assertEqual(stream_frames.write_items(0x01020304, 5, [b"\x05", b"\x06"]), items)
        end = stream_frames.write(stream_frames.Kind.END, 0x01020304, 7)
        self.assertEqual(end.hex(), "c101010203040000000000000007")
        credit = stream_frames.Credit(CALL, 7, 8, again=True)
        self.assertEqual(stream_frames.read_credits(credit.write()), [credit])
        self.assertEqual(stream_frames.read_credits(credit.write() + b"1"), [])

    def test_partitions_and_names_are_those_of_the_page(self) -> None:
        method = Method("account.requests", "put", key="account", partitions=16)
        place = method.place({"account": "DE-1"})
        self.assertEqual(place, ("account.requests.8", "848758152/16"))
        names = Names("eu")
        self.assertTrue(names.is_inbox(f"replybus:eu.inbox:{{{CALL}}}"))
        for name in ("", "session:admin", f"replybus:inbox:{{{CALL}}}", f"{names.inbox(CALL)}\n"):
            self.assertFalse(names.is_inbox(name), name)


class Malformed(unittest.TestCase):
    def test_bodies_that_are_none_are_refused(self) -> None:
        deep = [(JSON, b"[" * 9000), (MSGPACK, b"\x91" * 9000), (JSON, b"[" * 66 + b"]" * 66)]
        for content_type, data in (*deep, (JSON, b"\xff"), (MSGPACK, b""), (MSGPACK, b"\x01\x01")):
            with self.assertRaises(ValueError):
                decode(content_type, data)
        for name in ("text/plain", "application/json; charset=latin-1"):
            with self.assertRaises(ValueError):
                content_type_of(name)
        self.assertEqual(content_type_of("Application/JSON; charset=UTF-8"), JSON)

    def test_what_is_no_text_does_not_end_the_connection(self) -> None:
        header = ContentHeader(0, 0, Basic.Properties(message_type="abc", headers={"name": "d"}))
        data = wire.marshal(header, 1)
        for was, is_now in ((b"abc", b"a\xffc"), (b"name", b"na\xffe")):
            _, _, read = wire.unmarshal(data.replace(was, is_now))
            said = getattr(read, "properties")  # noqa: B009
            message = Message(b"", kind=said.message_type, headers=dict(said.headers))
            self.assertIsNotNone(message.malformed())
        table = b""
        for _ in range(2000):
            table = b"\x01aF" + struct.pack(">I", len(table)) + table
        value = struct.pack(">I", len(table)) + table
        self.assertEqual(frames._table(value), (len(value), {frames.UNREADABLE: True}))


if __name__ == "__main__":
    unittest.main()
