"""What a child process does with what it has of its parent."""

from __future__ import annotations

import os

from mycelium_fractal_net.security.forking import in_child


class Owner:
    """Something that notices a fork."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        in_child(self, Owner.tell)

    def tell(self) -> None:
        os.write(self.descriptor, b"told")


def told(descriptor: int, reader: int) -> bytes:
    """What a child that ends at once has written."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    os.write(descriptor, b".")
    return os.read(reader, 100)


def test_a_child_acts_for_each_owner_that_is_there() -> None:
    """In the child alone, once; and what is gone is let go of and needs nothing."""
    reader, writer = os.pipe()
    try:
        owner = Owner(writer)
        assert told(writer, reader) == b"told."
        del owner
        assert told(writer, reader) == b"."
    finally:
        os.close(reader)
        os.close(writer)
