"""Places and progress: who is given up, who has to make room, and who is not troubled."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import weakref
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.api.transport.connections import Connections, Slot
from mycelium_fractal_net.api.transport.limits import ClientLimits, room_for
from mycelium_fractal_net.api.transport.listener import Listener
from mycelium_fractal_net.api.transport.timeouts import Wait
from mycelium_fractal_net.config.settings import Server
from mycelium_fractal_net.security.errors import ConfigurationError
from tests.support.killed import killed

if TYPE_CHECKING:
    from collections.abc import Callable


class Peer:
    """A connection that waits for what it is told to wait for."""

    def __init__(self, wait: Wait = Wait.FIRST) -> None:
        self.wait = wait
        self.of: object = None
        self.moved = 0
        self.ended: list[str] = []

    def waits_for(self) -> tuple[Wait, object, int]:
        return self.wait, self.of, self.moved

    def give_up(self, wait: Wait) -> None:
        self.ended.append(f"given up {wait.name}")

    def make_room(self, wait: Wait) -> None:
        self.ended.append(f"made room {wait.name}")


class Room:
    """Connections whose time goes on when it is told to."""

    def __init__(self, most: int = 3, **limits: float) -> None:
        self.now = 1000.0
        self.connections = Connections(
            ClientLimits(connections=most, **limits),  # type: ignore[arg-type]
            {"203.0.113.9"},
            lambda: self.now,
        )

    def enter(self, peer: Peer, address: str = "198.51.100.1") -> Slot:
        return self.connections.enter(address, peer)

    def passes(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Time, in which everybody is looked at as often as it happens."""
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            each()
            self.connections.check()


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        (Wait.HANDSHAKE, 5),
        (Wait.FIRST, 10),
        (Wait.HEAD, 10),
        (Wait.LINGER, 2),
        (Wait.BODY, 10),
        (Wait.READER, 10),
        (Wait.IDLE, 75),
    ],
)
def test_each_has_its_time_and_no_more(wait: Wait, seconds: float) -> None:
    """From the first look on, which is half a second after at most."""
    room, peer = Room(), Peer(wait)
    room.enter(peer)
    room.passes(seconds - 0.5)
    assert not peer.ended
    room.passes(1.5)
    assert peer.ended[0] == f"given up {wait.name}"


def test_the_server_takes_as_long_as_it_takes() -> None:
    """What it does for a client is not the client's delay."""
    room, peer = Room(), Peer(Wait.NOTHING)
    room.enter(peer)
    room.passes(10_000)
    assert not peer.ended


@pytest.mark.parametrize("wait", [Wait.BODY, Wait.READER])
def test_a_drip_is_given_up_though_something_moves(wait: Wait) -> None:
    """Less than 1 KiB/s over ten seconds, however it is spread."""
    for step, ends in ((400, True), (600, False)):
        room, peer = Room(), Peer(wait)
        room.enter(peer)

        def drip(peer: Peer = peer, step: int = step) -> None:
            peer.moved += step

        room.passes(11, drip)
        assert bool(peer.ended) == ends
    room, peer = Room(), Peer(wait)
    room.enter(peer)
    peer.moved = 1_000_000  # at first, and then it drips

    def one() -> None:
        peer.moved += 1

    room.passes(22, one)
    assert peer.ended


def test_a_rate_of_zero_asks_for_none() -> None:
    """The gap is still bounded."""
    room, peer = Room(least_rate=0), Peer(Wait.BODY)
    room.enter(peer)

    def one() -> None:
        peer.moved += 1

    room.passes(100, one)
    assert not peer.ended
    room.passes(11)
    assert peer.ended


def test_each_message_has_its_own_time() -> None:
    """A connection that asks again and again is not ended for its age."""
    room, peer = Room(), Peer(Wait.HEAD)
    room.enter(peer)

    def next_one() -> None:
        peer.of = object()

    room.passes(100, next_one)
    assert not peer.ended


def test_who_stalls_makes_room_and_the_silent_go_first() -> None:
    """The oldest of those; who is served or has only just come is left alone."""
    room = Room(most=6)
    guests = {
        wait: Peer(wait) for wait in (Wait.IDLE, Wait.NOTHING, Wait.BODY, Wait.HEAD, Wait.FIRST)
    }
    for peer in guests.values():
        room.enter(peer)
    room.passes(2)
    late = Peer(Wait.FIRST)
    room.enter(late)
    order = []
    for _ in range(4):
        assert room.connections.has_room()
        order += [wait for wait, peer in guests.items() if peer.ended and wait not in order]
        room.enter(Peer(Wait.NOTHING))
        room.now += 0.06  # it is not searched for room more often than that
    assert order == [Wait.FIRST, Wait.HEAD, Wait.BODY, Wait.IDLE]
    assert not late.ended
    room.now += 0.2
    assert room.connections.has_room()
    assert late.ended == ["made room FIRST"]
    room.enter(Peer(Wait.NOTHING))
    room.now += 1
    assert not room.connections.has_room()
    assert not guests[Wait.NOTHING].ended
    assert len(room.connections) == 6


@pytest.mark.parametrize("wait", [Wait.BODY, Wait.READER])
def test_who_moves_does_not_make_room(wait: Wait) -> None:
    """A long transfer at a good rate is not cut for somebody new."""
    room, peer = Room(most=1), Peer(wait)
    room.enter(peer)

    def move() -> None:
        peer.moved += 10_000

    room.passes(25, move)
    assert not room.connections.has_room()
    room.passes(2.5)
    assert room.connections.has_room()
    assert peer.ended == [f"made room {wait.name}"]


def test_who_was_found_to_stall_and_moves_again_is_left_alone() -> None:
    """What was found is looked at again before it is used."""
    room, guests = Room(most=2), [Peer(Wait.IDLE), Peer(Wait.IDLE)]
    for peer in guests:
        room.enter(peer)
    room.passes(3)
    assert room.connections.has_room()
    room.enter(Peer(Wait.NOTHING))
    guests[1].wait = Wait.NOTHING
    room.now += 1
    assert not room.connections.has_room()
    assert [peer.ended for peer in guests] == [["made room IDLE"], []]


@pytest.mark.parametrize("wait", [Wait.BODY, Wait.READER])
def test_who_was_found_to_stall_in_a_message_and_goes_on_with_it_is_left_alone(wait: Wait) -> None:
    """It is the same body, or answer, and it moves: its slot went to whoever came next."""
    room, guests = Room(most=2), [Peer(wait), Peer(wait)]
    for peer in guests:
        room.enter(peer)
    room.passes(2)
    assert room.connections.has_room()
    room.enter(Peer(Wait.NOTHING))

    def move() -> None:
        guests[1].moved += 100_000

    room.passes(0.5, move)
    room.now += 0.2
    guests[1].moved += 100_000
    assert not room.connections.has_room()
    assert [peer.ended for peer in guests] == [[f"made room {wait.name}"], []]


@pytest.mark.parametrize("wait", [Wait.BODY, Wait.READER, Wait.IDLE])
def test_half_a_second_without_moving_makes_room(wait: Wait) -> None:
    """Counted from when it was first looked at: who comes after a burst does not wait long."""
    room, peer = Room(most=1), Peer()
    room.enter(peer)
    peer.wait = wait
    assert not room.connections.has_room()
    room.now += 0.4
    assert not room.connections.has_room()
    room.now += 0.1
    assert room.connections.has_room()


def test_nobody_is_kept_in_memory_for_having_stalled() -> None:
    """A connection that has gone is gone, with all that was read from it."""
    room, guests = Room(most=3), [Peer(Wait.BODY) for _ in range(3)]
    slots = [room.enter(peer) for peer in guests]
    room.passes(2)
    assert room.connections.has_room()
    gone = weakref.ref(guests[1])
    for slot in slots:
        room.connections.leave(slot)
    del guests, slots, slot
    room.passes(0.5)
    gc.collect()
    assert gone() is None


def test_a_network_of_ipv6_has_the_share_of_one_address() -> None:
    """Whoever has one address there has as many as he likes; a proxy is one address of it."""
    room = Room(most=10, connections_per_address=2)
    for last in (1, 2):
        room.enter(Peer(), f"2001:db8:0:1::{last}")
    assert room.connections.has_too_many("2001:db8:0:1:f::3")
    assert not room.connections.has_too_many("2001:db8:0:2::1")
    slot = room.enter(Peer(), "::ffff:198.51.100.1")
    assert not room.connections.has_too_many("198.51.100.1")
    room.enter(Peer(), "198.51.100.1")
    assert room.connections.has_too_many("::ffff:198.51.100.1")
    room.connections.leave(slot)
    assert not room.connections.has_too_many("198.51.100.1")


def test_an_address_has_its_share_unless_it_is_a_proxy() -> None:
    """Places that were left count no more, and to leave twice is once."""
    room = Room(most=10, connections_per_address=2)
    slots = [room.enter(Peer()) for _ in range(2)]
    assert room.connections.has_too_many("198.51.100.1")
    assert not room.connections.has_too_many("198.51.100.2")
    for _ in range(5):
        room.enter(Peer(), "203.0.113.9")
    assert not room.connections.has_too_many("203.0.113.9")
    assert room.connections.has(slots[0])
    room.connections.leave(slots[0])
    room.connections.leave(slots[0])
    assert not room.connections.has(slots[0])
    assert not room.connections.has_too_many("198.51.100.1")
    room.connections.leave(slots[1])
    assert len(room.connections) == 5


def test_a_process_without_descriptors_waits_and_goes_on() -> None:
    """It does not ask without end, and accepts those that waited once there are some again."""

    async def serve(listening: socket.socket) -> list[str]:
        said: list[str] = []

        class Greeter(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                transport.write(b"hello")
                transport.close()

        listener = Listener(
            listening, Connections(ClientLimits()), lambda _: Greeter(), lambda _: b"full"
        )
        held: list[socket.socket] = []
        client = socket.create_connection(listening.getsockname())
        client.settimeout(5)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 16, hard))
        try:
            while True:
                held.append(socket.socket())
        except OSError:
            pass
        listener.start()
        await asyncio.sleep(0.5)
        said.append(f"{len(listener._opening)} accepted")
        for each in held:
            each.close()
        said.append((await asyncio.to_thread(client.recv, 10)).decode())
        listener.close()
        client.close()
        return said

    def child() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            assert asyncio.run(serve(listening)) == ["0 accepted", "hello"]

    killed(child)


def test_a_process_asks_for_the_descriptors_that_its_connections_need() -> None:
    """Where it gets fewer, it takes fewer connections, and says so."""

    def child() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert room_for(1000) == 1000
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1512
        resource.setrlimit(resource.RLIMIT_NOFILE, (700, 700))
        assert room_for(1000) == 350
        assert room_for(100) == 100

    killed(child)


def test_who_stalls_with_the_most_bytes_makes_room_for_others() -> None:
    """Of bodies and unread answers; where nobody stalls, what is new finds no room."""
    room = Room(buffered_bytes=100)
    connections = room.connections
    little, much, moves = Peer(Wait.BODY), Peer(Wait.READER), Peer(Wait.BODY)
    slots = [room.enter(each) for each in (little, much, moves)]
    for slot, count in zip(slots, (20, 50, 30), strict=True):
        assert connections.hold(slot, count)
    assert not connections.hold(slots[2], 1)  # nobody has stalled yet
    assert connections.held == 100

    def move() -> None:
        moves.moved += 5_000

    room.passes(1, move)
    assert connections.hold(slots[2], 40)
    assert (much.ended, little.ended) == (["made room READER"], [])
    connections.let_go(slots[2], 70)
    connections.leave(slots[0])
    assert connections.held == 0


def test_what_a_connection_held_goes_with_it() -> None:
    """Also what is counted for one that is gone already, which is nothing."""
    room = Room(buffered_bytes=100)
    slot = room.enter(Peer(Wait.BODY))
    assert room.connections.hold(slot, 100)
    room.connections.leave(slot)
    assert room.connections.hold(slot, 100)
    assert (room.connections.held, slot.held) == (0, 0)


def test_a_budget_below_one_body_is_refused() -> None:
    """No body of the largest size could ever be taken."""
    with pytest.raises(ConfigurationError, match="max_buffered_bytes"):
        ClientLimits.of(Server(max_buffered_bytes=1 << 20))
