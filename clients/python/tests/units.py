"""The bytes of the protocol, as its page shows them, and what comes from the wire malformed."""

from __future__ import annotations

import asyncio
import base64
import inspect
import struct
import unittest
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import msgpack
from pamqp import frame as wire
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from redis.exceptions import RedisError

from replybus import (
    JSON,
    MSGPACK,
    CallFailed,
    HandlerError,
    Method,
    Progress,
    Retry,
    RetryLater,
    Service,
    envelope,
    frames,
    levels,
    replies,
    stream_frames,
)
from replybus.bundles import entry
from replybus.claims import Claim, Claims, Done, Refused, Running, Taken
from replybus.codec import content_type_of, decode, encode
from replybus.commands import CommandRun
from replybus.control import ControlLine
from replybus.envelope import Envelope
from replybus.held import Held
from replybus.jobs import Jobs
from replybus.levels import LEVELS, Destination, Way
from replybus.message import Message, unbundled
from replybus.names import Names
from replybus.outcome import Outcome
from replybus.partition_line import Intake, Line, Place, misplaced
from replybus.partitions import weight
from replybus.progress import Reports
from replybus.request import Request
from replybus.retries import Retries
from replybus.scripts import Scripts
from replybus.sealed import NotOpened, OpeningKey, SealingKey, open_sealed, seal
from replybus.service import Served
from replybus.silence import Silence
from replybus.stream_frames import FeedCredit, Kind
from replybus.tasks import ended
from replybus.waiting import MISSED, STARTED, says, started_headers, unstarted_headers

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

    def test_what_the_reader_of_an_argument_says_is_that_of_the_page(self) -> None:
        stream = str(uuid.UUID(bytes=b"\x11" * 16))
        said = FeedCredit(stream, 0x01020304, 5, again=True, holds_claim=True, inbox="inbox")
        frame = bytes.fromhex(f"c1 04 01020304 0000000000000005 05 {'11' * 16}") + b"inbox"
        self.assertEqual(said.write(), frame)
        self.assertEqual(stream_frames.read_feed_credit(frame), said)
        # Whoever reads an answer passes it over.
        self.assertIsNone(stream_frames.read(frame))
        for bad in (frame[:30], frame + b"x" * 255, frame[:31] + b"\xff", b"\xc1\x01" + frame[2:]):
            self.assertIsNone(stream_frames.read_feed_credit(bad))
        self.assertEqual(stream_frames.write(Kind.WAIT, 1, 0).hex(), "c105000000010000000000000000")

    def test_partitions_and_names_are_those_of_the_page(self) -> None:
        method = Method("account.requests", "put", key="account", partitions=16)
        place = method.place({"account": "DE-1"})
        self.assertEqual(place, ("account.requests.8", "848758152/16"))
        names = Names("eu")
        self.assertTrue(names.is_inbox(f"replybus:eu.inbox:{{{CALL}}}"))
        for name in ("", "session:admin", f"replybus:inbox:{{{CALL}}}", f"{names.inbox(CALL)}\n"):
            self.assertFalse(names.is_inbox(name), name)


def selects(pattern: str, key: str) -> bool:
    """Whether a topic exchange takes a key by this pattern, whose `#` comes last."""
    words, keys = pattern.split("."), key.split(".")
    if words[-1] == "#":
        words, keys = words[:-1], keys[: len(words) - 1]
    return len(words) == len(keys) and all(w in ("*", k) for w, k in zip(words, keys, strict=True))


class Delays(unittest.TestCase):
    def test_keys_and_names_are_those_of_the_page(self) -> None:
        key = levels.routing_key(4.5, "account.requests")
        self.assertEqual(key, "0." * 22 + "1.0.1.account.requests")
        way = Way("bank.replybus.delay")
        self.assertEqual(way.level(24), "bank.replybus.delay.16777216s")
        self.assertEqual((way.below(1), way.below(0)), (way.level(0), "bank.replybus.delay.due"))
        to = Destination("bank.replybus.events", "offer.expired")
        self.assertEqual(way.due_queue(to), f"{way.due}.bank.replybus.events:offer.expired")
        to.check(way)
        for bad in ("", "#", "a.*", "a b", "ä", "x" * 206):
            with self.assertRaises(ValueError):
                Destination("", bad).check(way)

    def test_every_delay_is_waited_for_and_ends_where_it_should(self) -> None:
        to = Destination("", "account.requests")
        for seconds in (0, 1, 2, 3, 5, 86_400, 366 * 86_400, (1 << LEVELS) - 1):
            key = levels.routing_key(seconds, to.name)
            first = [level for level in range(LEVELS) if selects(levels.first_at(level), key)]
            self.assertEqual(len(first), int(seconds > 0))
            self.assertEqual(selects(levels.at_none(), key), seconds == 0)
            waited = sum(1 << level for level in first)
            for level in range(first[0] if first else 0):
                waits = selects(levels.at(level, True), key)
                self.assertNotEqual(waits, selects(levels.at(level, False), key))
                waited += waits << level
            self.assertEqual(waited, seconds)
            self.assertTrue(selects(to.pattern(), key))


class Partitions(unittest.IsolatedAsyncioTestCase):
    def test_a_weight_is_the_same_everywhere(self) -> None:
        self.assertEqual(weight(uuid.UUID(bytes=b"\x07" * 16), 3), 0x6098_A097_C220_C07A)

    def test_a_place_is_read_without_trust(self) -> None:
        for header in ("", "8", "/16", "8/", "-8/16", "8/0", "8/257", "4294967296/16", "8/16 ", 8):
            message = Message(b"", headers={"x-replybus-partition": header})
            self.assertIsNone(Place.of(message), header)
        for header, partition, is_misplaced in (("24/16", 8, False), ("24/16", 7, True)):
            headers = {"x-replybus-partition": header}
            message = Message(b"", headers=dict(headers), partition=partition)
            self.assertEqual(misplaced(message, 16) is not None, is_misplaced)
            self.assertIsNotNone(misplaced(message, 8))

    async def test_what_came_first_is_taken_first(self) -> None:
        taken: list[int] = []
        intake = Intake(taken.append)
        early = [asyncio.create_task(intake.deliver(number)) for number in range(3)]
        await asyncio.sleep(0)
        # It has come, and had no step of the loop yet.
        late = asyncio.create_task(intake.deliver(3))
        intake.open()
        await asyncio.gather(*early, late)
        await intake.deliver(4)
        self.assertEqual(taken, [0, 1, 2, 3, 4])

    async def test_the_next_of_a_key_is_run_when_the_one_before_is_done(self) -> None:
        line, begun = Line(0), []
        ends = {name: asyncio.get_running_loop().create_future() for name in "abcd"}

        def add(name: str, place: str) -> None:
            async def work(_: Message) -> bool:
                begun.append(name)
                return bool(await ends[name])

            line.add(Message(b"", headers={"x-replybus-partition": place}), work)

        async def is_begun(names: str) -> None:
            while "".join(begun) != names:
                await asyncio.sleep(0)

        add("a", "1/1")
        add("b", "1/1")
        add("c", "2/1")
        add("d", "1/1")
        await is_begun("ac")
        ends["a"].set_result(True)
        await is_begun("acb")
        # One that is given back ends the line, and what is behind it is not begun.
        ends["b"].set_result(False)
        ends["c"].set_result(True)
        while not line.is_idle:
            await asyncio.sleep(0)
        self.assertTrue(line.is_ending)
        self.assertEqual(begun, ["a", "c", "b"])


class Silences(unittest.IsolatedAsyncioTestCase):
    """Silence of the other end of a stream, by a clock of our own."""

    async def asyncSetUp(self) -> None:
        self.now, self.is_deaf = 0.0, False
        clock = mock.patch.object(asyncio.get_running_loop(), "time", lambda: self.now)
        clock.start()
        self.addCleanup(clock.stop)
        self.silence = Silence(lambda: self.is_deaf)

    def after(self, seconds: float) -> float:
        self.now += seconds
        return self.silence.look()

    async def test_what_could_have_been_heard_counts(self) -> None:
        self.assertEqual([self.after(1) for _ in range(40)], list(range(1, 41)))
        self.silence.broken()
        self.assertEqual(self.after(1), 1)

    async def test_an_outage_is_none_and_what_follows_is_counted_anew(self) -> None:
        self.is_deaf = True
        self.assertLess(max(self.after(1) for _ in range(100)), 6)
        self.is_deaf = False
        self.assertTrue(all(self.after(1) < second + 6 for second in range(1, 21)))

    async def test_a_process_that_stood_still_has_not_listened(self) -> None:
        self.assertEqual(self.after(1_000), 6)


class StoodStill(unittest.IsolatedAsyncioTestCase):
    """Answers to claims that are read long after they were given."""

    async def asked(self, lease: int, *answers: list[Any]) -> tuple[Any, int]:
        """What a claim comes to whose answers are each read after 30 s, and how often it is asked for;
        its time is over after 20 s."""
        left, now = list(answers), 0.0

        async def claim(_keys: list[str], _arguments: list[Any]) -> list[list[Any]]:
            nonlocal now
            now += 30 if len(left) == len(answers) else 0
            return [left.pop(0)]

        claims = Claims(cast(Scripts, SimpleNamespace(claim=claim)), Names("", "replybus:"))
        with mock.patch.object(asyncio.get_running_loop(), "time", lambda: now):
            taken = await claims.take(Claim("a", lease_ms=lease), 20, lambda: False)
        return taken, len(answers) - len(left)

    async def test_who_is_told_too_late_that_another_runs_asks_once_more(self) -> None:
        taken, times = await self.asked(3_000, [b"running"], [b"done", b"frame"])
        self.assertEqual((taken, times), (Done(b"frame"), 2))
        with self.assertRaises(Refused):
            await self.asked(3_000, [b"running"], [b"running"])

    async def test_a_claim_that_lapsed_before_its_answer_is_read_begins_nothing(self) -> None:
        taken, _ = await self.asked(3_000, [b"run", 1], [b"done", b"frame"])
        self.assertEqual(taken, Done(b"frame"))
        taken, _ = await self.asked(0, [b"run", 2])
        self.assertEqual(taken, Taken(2))


class Unseen(unittest.IsolatedAsyncioTestCase):
    """An instance that nobody may have seen for a while."""

    def line(self, announce: Any, learn: Any) -> ControlLine:
        redis = mock.AsyncMock()
        redis.time.return_value = (0, 0)
        bus = SimpleNamespace(names=Names("", "replybus:"), redis=redis, app="a")
        bus.scripts = SimpleNamespace(announce=announce)
        serving: Any = SimpleNamespace(
            bus=bus, service=Service("a.requests"), instance="i", stopping=asyncio.Event()
        )
        serving.in_flight, serving.learn_what_was_given_up = lambda: 0, learn
        return ControlLine(serving)

    async def test_nothing_is_begun_before_it_is_known_what_was_given_up(self) -> None:
        answered, steps = asyncio.Event(), []

        async def announced(*_: Any) -> None:
            steps.append("announced")
            await answered.wait()

        async def learn() -> None:
            steps.append("learnt")

        control = self.line(announced, learn)
        # Its own announcement is under way, as when a process goes on that stood still.
        beating = asyncio.create_task(control.announce())
        await asyncio.sleep(0)
        waiting = asyncio.create_task(control.be_seen())
        await asyncio.sleep(0.05)
        self.assertEqual((steps, waiting.done()), (["announced"], False))
        answered.set()
        await waiting
        self.assertEqual(steps, ["announced", "learnt"])
        await control.be_seen()
        self.assertEqual(len(steps), 2)
        await ended(beating)

    async def test_who_was_not_seen_in_vain_tries_again_when_redis_has_answered(self) -> None:
        announce, learn = mock.AsyncMock(side_effect=RedisError("away")), mock.AsyncMock()
        control = self.line(announce, learn)
        await control.be_seen()
        await control.be_seen()
        self.assertEqual((announce.await_count, learn.await_count), (1, 0))
        announce.side_effect = None
        await control.be_surely_seen()
        await control.be_surely_seen()
        self.assertEqual((announce.await_count, learn.await_count), (2, 1))

    async def test_a_command_that_was_given_up_by_the_time_of_its_claim_is_not_begun(self) -> None:
        async def trade() -> None:
            raise AssertionError("it was begun")

        serving: Any = SimpleNamespace(
            service=Service("a.requests"), held=Held(), claims=mock.AsyncMock()
        )
        serving.claims.take.return_value = Taken(1)
        serving.stopping = asyncio.Event()

        async def be_surely_seen() -> None:
            serving.held.cancel(CALL, 20)

        serving.be_surely_seen = be_surely_seen
        read = envelope.read(Message(b"\x80", kind="trade", correlation_id=CALL), Names())
        served = Served("trade", "command", trade, inspect.signature(trade))
        outcome = await CommandRun(serving, served, read, 1).outcome()
        failed = cast(CallFailed, outcome.error)
        self.assertEqual((failed.code, failed.may_have_executed), ("cancelled", False))
        serving.claims.release.assert_awaited_once()


class PutOff(unittest.IsolatedAsyncioTestCase):
    async def test_a_short_pause_is_held_and_a_longer_one_is_not(self) -> None:
        retries = Retries(Message(b""), Retry(max=4, base=0.5), None)
        self.assertEqual([retries.failed(RetryLater("away")) for _ in range(2)], [0.5, 1.0])
        self.assertIsNone(retries.due)
        self.assertIsNone(retries.failed(RetryLater("two\nlines")))
        self.assertIsNotNone(retries.due)
        headers = {"tenant": "acme", "x-replybus-retry-error-9": "forged"}
        retries.note_in(headers)
        retries = Retries(Message(b"", headers=dict(headers)), Retry(max=4, base=0.5), None)
        self.assertEqual(retries.before, 3)
        self.assertIsNone(retries.failed(RetryLater({"Busy": 4}, after=7)))
        self.assertIsNone(retries.failed(RetryLater("x" * 300)))
        self.assertTrue(retries.is_exhausted)
        retries.note_in(headers)
        expected = {"tenant": "acme", "x-replybus-retries": "5"}
        errors = ("away", "away", "twolines", '{"Busy":4}', "x" * 256)
        said = {f"x-replybus-retry-error-{run}": one for run, one in enumerate(errors, 1)}
        self.assertEqual(headers, expected | said)

    async def test_no_run_is_planned_for_when_nobody_waits_for_it(self) -> None:
        now = asyncio.get_running_loop().time()
        for base, left in ((1.0, 0.9), (1.1, 1.9)):
            retries = Retries(Message(b""), Retry(base=base), now + left)
            self.assertIsNone(retries.failed(RetryLater("away")))
            self.assertEqual((retries.due, retries.is_exhausted), (None, False))

    async def test_what_is_forged_gives_no_run_more(self) -> None:
        values: tuple[object, ...] = ("", "many", "-1", "9" * 20, "4294967295", "17", [], None)
        for runs in values:
            forged = Message(b"", headers={"x-replybus-retries": runs})
            retries = Retries(forged, Retry(), None)
            self.assertIsNone(retries.failed(RetryLater("away")))
            self.assertTrue(retries.is_exhausted, runs)
        for policy in ({"max": 0}, {"max": 21}, {"base": 0.0}, {"max_delay": 1e9}):
            with self.assertRaises(ValueError):
                Retry(**policy)


def looking(
    headers: dict[str, Any], known: Any, came: list[str]
) -> tuple[Jobs, CommandRun, Envelope]:
    """A look at a record that says this, and a place that is taken; what comes of it is in `came`."""

    async def record(_: str) -> Any:
        if isinstance(known, Exception):
            raise known
        return known

    async def conclude(_: Envelope, outcome: Outcome, __: CommandRun) -> None:
        failed = outcome.error
        came.append(failed.code if isinstance(failed, CallFailed) else "handler")

    async def keep_started(_: Envelope, *, is_missed: bool = False) -> bool:
        came.append("missed" if is_missed else "kept")
        return True

    async def put_off(_: Envelope) -> bool:
        came.append("put off")
        return True

    serving: Any = SimpleNamespace(
        service=Service("yard.requests"),
        claims=SimpleNamespace(record=record),
        places=asyncio.Semaphore(0),
    )
    jobs = Jobs(serving, mock.AsyncMock(), conclude)
    room: Any = SimpleNamespace(keep_started=keep_started, put_off=put_off)
    jobs._room = room
    message = Message(b"\x80", kind="haul", correlation_id=CALL, headers=headers)
    read = envelope.read(message, Names())

    async def haul() -> None: ...

    served = Served("haul", "command", haul, inspect.signature(haul), job=1.0)
    return jobs, CommandRun(serving, served, read, 1), read


class LongJobs(unittest.IsolatedAsyncioTestCase):
    def test_progress_is_that_of_every_language(self) -> None:
        self.assertEqual(
            Progress(1, 2, "a").encode(), b"\x83\xa4done\x01\xa5total\x02\xa4note\xa1a"
        )
        for progress in (Progress(0), Progress((1 << 64) - 1, 0, "ü" * 128)):
            self.assertEqual(Progress.decode(progress.encode()), progress)
        self.assertEqual(Progress(1, None, "a" + "ü" * 200).note, "a" + "ü" * 127)
        self.assertEqual(
            [Progress(3, total).fraction for total in (None, 0, 2, 12)], [None, None, 1, 0.25]
        )
        bad: tuple[Any, ...] = (-1, 1.5, True, 1 << 64)
        for count in bad:
            with self.assertRaises(ValueError):
                Progress(count)
        garbage = (b"", b"\xc1", b"\x80", b"\x01", b"\x81\xa4done\xa1a", b"\x81\xa4done\xff")
        odd = msgpack.packb({"done": 1, "note": 5})
        for noted in (*garbage, odd):
            self.assertIsNone(Progress.decode(noted), noted)

    async def test_only_the_newest_report_is_written_and_again_if_it_was_not(self) -> None:
        written: list[bytes] = []

        class Store:
            async def note(self, _: Claim, progress: bytes) -> None:
                written.append(progress)
                if len(written) == 1:
                    raise ConnectionError

        reports = Reports()
        for done in range(5):
            await asyncio.to_thread(reports.report, Progress(done))
        store: Any = Store()
        writing = asyncio.create_task(reports.write(store, Claim("yard")))
        async with asyncio.timeout(5):
            while len(written) < 2:
                await asyncio.sleep(0)
        await ended(writing)
        self.assertEqual(written, [Progress(4).encode()] * 2)

    async def test_a_message_of_a_job_waits_as_the_page_says(self) -> None:
        headers = {"tenant": "a", "CC": ["x"], "deadline": "1800000000000", MISSED: True}
        for inbox in (None, Names().inbox(CALL)):
            message = Message(b"", correlation_id=CALL, reply_to=inbox, headers=dict(headers))
            message.expiration = "5000"
            read = envelope.read(message, Names())
            again = {"tenant": "a", "repeated": True, STARTED: True}
            if inbox is not None:
                again["deadline"] = headers["deadline"]
            self.assertEqual(started_headers(read, is_missed=False), again)
            self.assertEqual(started_headers(read, is_missed=True), again | {MISSED: True})
            # One that no handler was free for was not started by that.
            put_off = unstarted_headers(read)
            self.assertEqual(put_off, {"tenant": "a", "deadline": headers["deadline"]})
            # What expires would be dropped on its way.
            self.assertIsNone(message.properties(again).expiration)
        read = envelope.read(Message(b"", expiration="5000", redelivered=True), Names())
        put_off = unstarted_headers(read)
        self.assertEqual(set(put_off), {"deadline", "x-replybus-due", "repeated"})

    def test_what_says_that_it_was_started_is_believed_only_if_it_is_true(self) -> None:
        for value in (True, "true", b"true"):
            self.assertTrue(says(Message(b"", headers={STARTED: value}), STARTED), value)
        none: tuple[object, ...] = (False, 1, None, [], "yes")
        for odd in none:
            self.assertFalse(says(Message(b"", headers={STARTED: odd}), STARTED), odd)

    async def test_what_becomes_of_a_message_is_the_word_of_the_record(self) -> None:
        runs, late = Running(1, 2_000, None), Running(1, 1_000, None)
        done, away = Done(replies.handler_error(MSGPACK, "no")), ConnectionError()
        again: dict[str, Any] = {"repeated": True}
        started = again | {STARTED: True}
        cases: tuple[tuple[dict[str, Any], Any, bool, list[str]], ...] = (
            ({}, runs, False, []),
            (again, runs, True, ["kept"]),
            (again, late, False, []),
            (again, done, False, []),
            (again, None, False, []),
            (again, away, False, []),
            (started, runs, True, ["kept"]),
            (started, late, False, []),
            (started, done, True, ["handler"]),
            (started, None, True, ["missed"]),
            (started | {MISSED: True}, None, True, ["interrupted"]),
            (started | {MISSED: True}, runs, True, ["kept"]),
            (started, away, True, ["kept"]),
        )
        for headers, known, is_settled, expected in cases:
            came: list[str] = []
            jobs, run, read = looking(headers, known, came)
            self.assertEqual(await jobs._is_looked_after(run, read), is_settled, headers)
            self.assertEqual(came, expected, (headers, known))

    async def test_what_finds_all_handlers_at_jobs_waits_elsewhere(self) -> None:
        came: list[str] = []
        jobs, _, read = looking({}, None, came)
        with mock.patch("replybus.jobs._PLACE_AWAITED_FOR", 0.001):
            self.assertFalse(await jobs.entered(read))
            self.assertEqual(came, ["put off"])
            # The broker takes none: it is waited for on and on.
            refused: Any = mock.AsyncMock(return_value=False)
            with mock.patch.object(jobs._room, "put_off", refused):
                entering = asyncio.create_task(jobs.entered(read))
                async with asyncio.timeout(5):
                    while refused.await_count < 3:
                        await asyncio.sleep(0.001)
                jobs._serving.places.release()
                self.assertTrue(await entering)

    def test_a_job_that_could_not_be_looked_after_is_refused(self) -> None:
        async def haul() -> None: ...

        yard = Service("yard.requests")
        options: list[dict[str, Any]] = [{"job": 0}, {"job": 8 * 86_400.0}]
        options += [{"job": 1.0, "retry": Retry()}, {"job": 1.0, "own_record": True}]
        for option in options:
            with self.assertRaises(ValueError):
                yard.command(**option)(haul)
        with self.assertRaises(ValueError):
            Service("yard.requests", partitions=2).command(job=1.0)(haul)
        self.assertFalse(yard.has_jobs())
        yard.command(job=1.0)(haul)
        self.assertTrue(yard.has_jobs())


class SealedValues(unittest.TestCase):
    """What its key alone opens, as docs/wire-protocol.md shows it."""

    def test_the_bytes_are_those_of_the_page(self) -> None:
        page = Path(__file__).parents[3] / "docs" / "wire-protocol.md"
        shown = page.read_text().split("for the purpose `log in ada`:")[1].split("```")[1]
        key = OpeningKey("logins-1", bytes([7]) * 32)
        sealed = shown.removeprefix("text").strip()
        self.assertEqual(open_sealed(sealed, key, "log in ada"), "correct horse")

    def test_it_is_opened_by_its_key_for_its_purpose_and_as_it_was(self) -> None:
        first = OpeningKey.generate("a")
        both = OpeningKey.generate("a").replacing(first)
        for key in (first, both):
            sealed = seal({"card": "4111", "cents": 5}, key.sealing_key(), "charge 17")
            self.assertEqual(open_sealed(sealed, both, "charge 17"), {"card": "4111", "cents": 5})
            self.assertNotEqual(sealed, seal({"card": "4111"}, key.sealing_key(), "charge 17"))
        data = base64.b64decode(seal(1, first.sealing_key(), "charge 17"))
        self.assertEqual(open_sealed(data, first, "charge 17"), 1)
        refused: list[tuple[str | bytes, OpeningKey, str]] = [
            (data, first, "charge 18"),
            (data, OpeningKey.generate("b"), "charge 17"),
            (data, OpeningKey.generate("a"), "charge 17"),
            *((data[:place], first, "charge 17") for place in range(len(data))),
            *((flipped(data, place), first, "charge 17") for place in range(len(data))),
            ("hunter2", first, "charge 17"),
        ]
        for one, key, purpose in refused:
            with self.assertRaises(NotOpened) as caught:
                open_sealed(one, key, purpose)
            self.assertNotIn("hunter2", str(caught.exception))

    def test_lengths_are_those_of_64_bytes(self) -> None:
        key = OpeningKey.generate("a").sealing_key()
        lengths = [len(seal("x" * length, key, "")) for length in (1, 50, 60)]
        self.assertEqual(lengths[0], lengths[1])
        self.assertNotEqual(lengths[1], lengths[2])

    def test_keys_are_in_files_as_openssl_writes_them(self) -> None:
        pem = (
            "-----BEGIN PRIVATE KEY-----\n"
            "MC4CAQAwBQYDK2VuBCIEIDB9NuwlRooeiqFNM5a10DzrvZ8Dd/cKwbSY47JI10Jo\n"
            "-----END PRIVATE KEY-----\n"
        )
        key = OpeningKey.from_pem("a", pem)
        self.assertEqual(key.to_pem(), pem)
        public = SealingKey.from_pem("a", key.sealing_key().to_pem())
        self.assertEqual(open_sealed(seal(1, public, "p"), key, "p"), 1)
        for bad in ("", "hunter2", pem):
            with self.assertRaises(ValueError):
                SealingKey.from_pem("a", bad)
        for name in ("", "a b", "ä", "x" * 65):
            with self.assertRaises(ValueError):
                OpeningKey.generate(name)


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 0x80
    return bytes(changed)


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
