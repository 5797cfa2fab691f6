"""What nobody can read ends in the record, as it was, before the broker forgets it; people replay or drop it."""

from __future__ import annotations

import base64
import json

import pytest
from click.testing import CliRunner
from kombu import Connection
from sqlalchemy import func, select
from structlog.testing import capture_logs

from roque.archive.models import DeadLetter
from roque.bus.letters import AT_ONCE
from roque.bus.topology import dead_queue, declare, job_queue
from roque.jobs.letters import KEPT_BYTES
from services.cli.main import cli

HOSTILE = b'\xff\xfe\x00\x1b]0;owned\x07\x1b[2J\r\n{"v": 1}\xe2\x80\xae'


@pytest.fixture
def dead(post):
    """A `roque job dead` on the record of the post."""

    def run(*words):
        return CliRunner().invoke(cli, ["--home", str(post.folder), "job", "dead", *map(str, words)])

    with Connection(post.broker) as connection:
        declare(connection)
    return run


def give_up(post, body=HOSTILE, queue="exporter.v1", **properties):
    """Put a message into a queue, and reject it as a worker does."""
    with Connection(post.broker) as connection:
        channel = connection.default_channel
        message = channel.prepare_message(body, **properties)
        channel.basic_publish(message, exchange="", routing_key=queue)
        message = None
        while message is None:
            message = channel.basic_get(queue)
        channel.basic_reject(message.delivery_tag, requeue=False)


def letters(post):
    with post.record.reading() as session:
        return list(session.scalars(select(DeadLetter).order_by(DeadLetter.id)))


def count(post):
    with post.record.reading() as session:
        return session.scalar(select(func.count()).select_from(DeadLetter))


def test_a_dead_letter_is_kept_byte_for_byte_with_how_it_died(post, dead, wait):
    give_up(post, headers={"task": "\x00\x1b", "deep": {"list": [1, b"\xff"]}}, content_type="application/x-\u00e9", priority=3)
    with post.relay():
        (letter,) = wait(lambda: letters(post))
        wait(lambda: post.lying("dead.v1") == 0)
    assert (letter.body, letter.size, letter.state) == (HOSTILE, len(HOSTILE), "new")
    assert (letter.queue, letter.reason) == ("exporter.v1", "rejected")
    assert letter.headers["x-death"][0]["routing-keys"] == ["exporter.v1"]
    assert letter.headers["deep"]["list"][0] == 1
    assert (letter.properties["content_type"], letter.properties["priority"]) == ("application/x-\u00e9", 3)


def test_what_is_not_stored_stays_with_the_broker(post, dead, wait, monkeypatch):
    give_up(post)
    from roque.bus import letters as module
    from roque.errors import Transient

    def away(*_):
        raise Transient("the record is away")

    with monkeypatch.context() as patch:
        patch.setattr(module, "store_letter", away)
        with capture_logs() as logs, post.relay():
            wait(lambda: [log for log in logs if log["event"] == "relay_waits"])
        assert count(post) == 0
    with post.relay():
        wait(lambda: count(post) == 1)


def test_the_same_death_told_twice_is_one_letter(post, dead, wait, monkeypatch):
    give_up(post)
    from roque.bus.letters import DeadLetters

    store = DeadLetters.store

    def crash(self, record):
        class Gone:
            def basic_ack(self, tag):
                raise ConnectionError("gone before the acknowledgement")

        self._channel = Gone()
        store(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(DeadLetters, "store", crash)
        with post.relay():
            wait(lambda: count(post) == 1)
    with post.relay():
        wait(lambda: post.lying("dead.v1") == 0)
    assert count(post) == 1


def test_one_without_a_byte_holds_up_nothing(post, dead, wait):
    give_up(post, b"")
    give_up(post, b"after it")
    with post.relay():
        wait(lambda: len(letters(post)) == 2)
    assert [bytes(letter.body) for letter in letters(post)] == [b"", b"after it"]


def test_many_and_large_ones_are_all_taken_in(post, dead, wait):
    for number in range(2 * AT_ONCE + 5):
        give_up(post, str(number).encode())
    give_up(post, b"x" * (KEPT_BYTES + 10))
    with post.relay():
        wait(lambda: post.lying("dead.v1") == 0 and count(post) == 2 * AT_ONCE + 6)
    assert (letters(post)[-1].size, len(letters(post)[-1].body)) == (KEPT_BYTES + 10, KEPT_BYTES)
    assert dead("replay", letters(post)[-1].id).exit_code == 1  # not what it was


def test_it_is_listed_and_shown_without_commanding_the_terminal(post, dead, wait):
    give_up(post, headers={"task": "\x1b[31mred"})
    with post.relay():
        (letter,) = wait(lambda: letters(post))
    for shown in (dead("list"), dead("show", letter.id)):
        assert shown.exit_code == 0, shown.output
        assert "exporter.v1" in shown.stdout
        assert not {"\x1b", "\x00", "\x07", "\u202e"} & set(shown.stdout)
    entry = json.loads(dead("show", letter.id, "--json").stdout)
    assert base64.b64decode(entry["body_base64"]) == HOSTILE
    (listed,) = [json.loads(line) for line in dead("list", "--json").stdout.splitlines()]
    assert (listed["number"], listed["reason"], listed["state"]) == (letter.id, "rejected", "new")


def test_a_replayed_letter_is_in_its_queue_again_as_it_was(post, dead, wait):
    about = {"content_type": "application/json", "content_encoding": "utf-8", "headers": {"task": "roque.job", "id": "7"}}
    give_up(post, b'{"v": 2}', **about)
    with post.relay():
        (letter,) = wait(lambda: letters(post))
        done = dead("replay", letter.id)
        assert (done.exit_code, done.stdout) == (0, f"{letter.id}\n"), done.output
        wait(lambda: post.unsent() == 0)
    with Connection(post.broker) as connection:
        again = job_queue("exporter")(connection.default_channel).get(no_ack=True)
    assert (again.body, again.content_type, again.content_encoding) in [
        (b'{"v": 2}', "application/json", "utf-8"), ('{"v": 2}', "application/json", "utf-8"),
    ]  # fmt: skip
    headers = dict(again.headers)
    assert headers.pop("x-delivery-count", 0) == 0  # the broker counts anew; RabbitMQ 4 does not say so before it has to
    assert headers == {"task": "roque.job", "id": "7"}
    assert [one.state for one in letters(post)] == ["replayed"]
    twice = dead("replay", letter.id)
    assert twice.exit_code == 1
    assert "was replayed already" in twice.stderr


def test_a_letter_of_a_foreign_queue_is_dropped_but_not_replayed(post, dead, wait):
    with Connection(post.broker) as connection:
        connection.Producer().publish(b"mail", exchange="roque.dead", routing_key="somebody", content_type="text/plain")
    with post.relay():
        (letter,) = wait(lambda: letters(post))
    assert (letter.queue, letter.reason) == ("somebody", "unknown")
    refused = dead("replay", letter.id)
    assert refused.exit_code == 1
    assert "no queue of roque" in refused.stderr
    assert dead("drop", "--all").exit_code == 0
    assert dead("list").stdout == ""
    assert json.loads(dead("list", "--state", "dropped", "--json").stdout)["number"] == letter.id


def test_wrong_words_are_wrong_usage(dead):
    assert dead("drop").exit_code == 2
    assert dead("drop", 1, "--all").exit_code == 2
    missing = dead("show", 12345)
    assert missing.exit_code == 4
    assert "there is no dead letter 12345" in missing.stderr


def test_the_queue_of_the_dead_is_read_by_nobody_else(post, dead):
    with Connection(post.broker) as connection:
        assert dead_queue()(connection.default_channel).queue_declare(passive=True).consumer_count == 0
