"""What is raised or given back crosses processes, whole; what cannot says so by its name."""

from __future__ import annotations

import collections.abc
import copy
import dataclasses
import datetime
import enum
import functools
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
import sys
import types
import typing
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

import mycelium_fractal_net
from mycelium_fractal_net import (
    Keyring,
    Recipient,
    RecipientKey,
    Signature,
    client,
    initialise,
    open_keyring,
)
from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.parsing.faults import SchemaError
from mycelium_fractal_net.api.rate_limits.rates import RateExceededError
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.client import AsyncClient, Client, Versioned
from mycelium_fractal_net.columns.column_database import NotWrittenError, Why
from mycelium_fractal_net.security.errors import (
    AuthenticationError,
    DecryptionError,
    ExitCode,
    InvalidSignatureError,
    MissingExtraError,
    PicklableError,
    RequestSignatureError,
)
from mycelium_fractal_net.security.forking import OfOneProcess
from mycelium_fractal_net.security.key_providers.pkcs11.codes import TokenError
from mycelium_fractal_net.security.sealed.sealer import DataKey
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING

ROOT: Final = mycelium_fractal_net.__name__
WAIT_SECONDS: Final = 60.0  # a pool waits for ever for what does not unpickle
# What holds a key, and is not handed on by accident.
KEYS: Final = {DataKey}


@functools.cache
def modules() -> list[types.ModuleType]:
    """Every module of the package."""
    walked = pkgutil.walk_packages(mycelium_fractal_net.__path__, f"{ROOT}.")
    names = [each.name for each in walked if ".migrations" not in each.name]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


@functools.cache
def classes() -> list[type]:
    """Every class that the package defines."""
    return [
        each
        for module in modules()
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__ == module.__name__
    ]


# Examples of records, made from their fields' types -------------------------------------------


class NotDataError(Exception):
    """It is of one process: a lock, a function, a connection."""


_NOW: Final = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
_LEAVES: Final[dict[Any, Any]] = {
    bytes: b"\x00bytes", bytearray: b"bytes", str: "text", int: 7, float: 1.5, bool: True,
    type(None): None, Any: "anything", object: "anything", Path: Path("/a/b"),
    datetime.datetime: _NOW, datetime.date: _NOW.date(), datetime.timedelta: _NOW - _NOW,
}  # fmt: skip


@functools.cache
def names() -> dict[str, Any]:
    """What annotations may name that is imported for types alone."""
    known: dict[str, Any] = {}
    for module in (typing, collections.abc, datetime, *modules()):
        for name, value in vars(module).items():
            known.setdefault(name, value)
    return known | {
        "Buffer": bytes,
        "Path": Path,
        "datetime": datetime.datetime,
        "date": datetime.date,
    }


def is_record(cls: type) -> bool:
    """Whether it is a dataclass, a named tuple or a struct."""
    named = issubclass(cls, tuple) and hasattr(cls, "_fields")
    return dataclasses.is_dataclass(cls) or named or issubclass(cls, msgspec.Struct)


def fields(cls: type) -> dict[str, Any]:
    """The fields of a record and their types."""
    annotated: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith(ROOT):
            known = names() | vars(sys.modules[base.__module__])
            for name, kind in inspect.get_annotations(base).items():
                text = getattr(kind, "__forward_arg__", kind)
                annotated[name] = eval(text, known) if isinstance(text, str) else kind
    if dataclasses.is_dataclass(cls):
        own = [field.name for field in dataclasses.fields(cls)]
    else:
        own = list(getattr(cls, "_fields", None) or cls.__struct_fields__)  # type: ignore[attr-defined]
    return {name: annotated[name] for name in own}


def example(kind: Any) -> Any:
    """A value of that type."""
    if kind in _LEAVES:
        return _LEAVES[kind]
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return example(args[0])
    if origin is typing.Literal:
        return args[0]
    if origin in (typing.Union, types.UnionType):
        return first_example(args)
    if origin is tuple:
        return tuple(example(each) for each in args if each is not ...)
    if origin in (list, collections.abc.Sequence):
        return [example(args[0])]
    if origin in (set, frozenset):
        return origin([example(args[0])])
    if origin in (dict, collections.abc.Mapping):
        return {example(args[0]): example(args[1])}
    if inspect.isclass(origin) and is_record(origin):
        return record(origin)
    if isinstance(kind, typing.TypeVar):
        return "of any type"
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    if inspect.isclass(kind) and is_record(kind) and kind not in KEYS:
        return record(kind)
    raise NotDataError(kind)


def first_example(kinds: tuple[Any, ...]) -> Any:
    """A value of the first of those types that has one, better than None."""
    for kind in sorted(kinds, key=lambda each: each is type(None)):
        try:
            return example(kind)
        except NotDataError:
            continue
    raise NotDataError(kinds)


def record(cls: type) -> Any:
    """One of that class, whatever its constructor would have said."""
    values = {name: example(kind) for name, kind in fields(cls).items()}
    if not dataclasses.is_dataclass(cls):
        return cls(**values)
    made = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def copies(value: Any) -> list[Any]:
    """It, pickled by every protocol and back, and copied."""
    pickled = [
        pickle.loads(pickle.dumps(value, each)) for each in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    return [*pickled, copy.copy(value), copy.deepcopy(value)]


# The claims -----------------------------------------------------------------------------------


def test_every_record_comes_back_equal() -> None:
    """Results, reports, settings and rows; all but those that hold a function, a lock or a key."""
    seen = set()
    for cls in classes():
        if is_record(cls) and cls not in KEYS:
            try:
                made = record(cls)
            except NotDataError:
                continue
            for each in copies(made):
                assert type(each) is cls
                assert each == made, cls
            seen.add(cls.__name__)
    assert {"Key", "Credential", "MessageInfo", "ColumnReport", "AuditReport", "Settings"} <= seen
    assert len(seen) > 90


def test_bytes_come_back_with_the_version_that_made_them() -> None:
    """A signature, and what the client gives."""
    for made in (Signature.made(b"s", "release:v1"), Versioned.of(b"p", "orders:v3", legacy=True)):
        for each in copies(made):
            assert (type(each), each, vars(each)) == (type(made), made, vars(made))


# Of those whose constructor takes something else than the text.
MADE_OF: Final[dict[type[BaseException], tuple[Any, ...]]] = {
    CommandError: (ExitCode.INPUT, "what", "advice"),
    MissingExtraError: ("the client", "client"),
    NotWrittenError: (Why.CONTENDED, "kind"),
    RateExceededError: ("too many", 30),
    RequestError: ("method-not-allowed", "no such method", "GET, HEAD"),
    SchemaError: ([("/data", "must be a string")],),
    TokenError: ("C_Decrypt", 5),
}


def raised(cls: type[BaseException]) -> BaseException:
    """One of that class, as the package makes it."""
    for base, given in MADE_OF.items():
        if issubclass(cls, base) and cls.__init__ is base.__init__:
            return cls(*given)
    takes_nothing = not inspect.signature(cls).parameters if hasattr(cls, "TEXT") else False
    return cls() if takes_nothing else cls("what happened")


def test_every_error_comes_back_as_it_was() -> None:
    """Its class, text and attributes, what was noted on it too."""
    found = [each for each in classes() if issubclass(each, BaseException)]
    assert {DecryptionError, AuthenticationError, *MADE_OF} <= set(found)
    for cls in found:
        error = raised(cls)
        error.add_note("row 17")
        error.of = "orders"  # type: ignore[attr-defined]
        for each in copies(error):
            assert type(each) is cls
            assert (each.args, str(each), vars(each)) == (error.args, str(error), vars(error))


def test_what_is_public_crosses_processes_or_says_why_not() -> None:
    """Each class of the two public doors is a record, an error, or of one process."""
    public = [
        getattr(door, name) for door in (mycelium_fractal_net, client) for name in door.__all__
    ]
    classes_of = [each for each in public if inspect.isclass(each)]
    key = RecipientKey.generate("HPKE-P256")
    assert pickle.loads(pickle.dumps(key.public)) == key.public
    with pytest.raises(TypeError, match="on purpose"):
        pickle.dumps(key)
    for cls in {*classes_of} - {Recipient, RecipientKey}:
        assert is_record(cls) or issubclass(
            cls, (PicklableError, enum.Enum, bytes, OfOneProcess)
        ), cls


def raise_it(error: BaseException) -> None:
    """In another process."""
    raise error


def decrypt(home: Path, message: bytes) -> bytes:
    """In another process, with a keyring of its own."""
    with open_keyring(home=home) as keyring:
        return keyring.decrypt(message)


def test_an_error_in_a_pool_of_processes_reaches_who_asked(home: Path) -> None:
    """It hung for ever with errors whose constructor takes nothing, or more than a text."""
    with initialise(home=home) as keyring:
        keyring.provider.keys.create("orders")
        sealed = keyring.encrypt(b"hello", key_id="orders")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(decrypt, (home, sealed)).get(WAIT_SECONDS) == b"hello"
        with pytest.raises(DecryptionError, match=DecryptionError.TEXT):
            pool.apply_async(decrypt, (home, sealed[:-1] + b"\0\0")).get(WAIT_SECONDS)
        for cls in (InvalidSignatureError, AuthenticationError, RequestSignatureError):
            with pytest.raises(cls, match=cls.TEXT):
                pool.apply_async(raise_it, (cls(),)).get(WAIT_SECONDS)
        with pytest.raises(MissingExtraError, match="needs the extra 'redis'") as caught:
            pool.apply_async(raise_it, (MissingExtraError("it", "redis"),)).get(WAIT_SECONDS)
        assert caught.value.extra == "redis"
        pool.close()  # it ends by itself: to be terminated while coverage saves can block it
        pool.join()


def test_what_is_of_one_process_says_to_open_one_in_each(keyring: Keyring) -> None:
    """And not that some lock inside of it cannot be pickled."""
    provider = keyring.provider
    remote = Client("http://127.0.0.1:1", "k")
    awaited = AsyncClient("http://127.0.0.1:1", "k")
    signer = client.RequestSigner(SigningKey.generate(SIGNING), "ci")
    custodian = provider.wrapping.custodian
    for each in (keyring, provider, custodian, provider.store.database, remote, awaited, signer):
        named = rf"^{type(each).__name__} .* open one in each process$"
        for act in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=named):
                act(each)
    remote.close()
