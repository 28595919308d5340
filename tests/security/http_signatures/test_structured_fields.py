"""The strict structured fields: one spelling, nothing twice, and what http_sfv reads of them."""

from __future__ import annotations

import re

import pytest
from http_sfv.dictionary import Dictionary
from http_sfv.item import InnerList
from http_sfv.item import Item as TheirItem
from http_sfv.types import Token as TheirToken
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures import structured_fields as fields
from mycelium_fractal_net.security.http_signatures.structured_fields import (
    BareItem,
    Item,
    Token,
    parse_byte_sequences,
    parse_inner_lists,
    parse_items,
    serialise_byte_sequences,
    serialise_inner_list,
    serialise_item,
    serialise_key,
)

KEYS = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,8}", fullmatch=True)
TOKENS = st.from_regex(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]{0,8}", fullmatch=True)
STRINGS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
BARE: st.SearchStrategy[BareItem] = st.one_of(
    st.integers(-(10**15) + 1, 10**15 - 1),
    STRINGS,
    st.booleans(),
    st.binary(max_size=12),
    st.builds(Token, TOKENS),
)
PARAMETERS = st.dictionaries(KEYS, BARE, max_size=5)
ITEMS = st.lists(st.builds(Item, STRINGS, PARAMETERS), max_size=5)
LISTS = st.dictionaries(KEYS, st.tuples(ITEMS, PARAMETERS), min_size=1, max_size=4)


def refused(field: bytes) -> bool:
    """Whether both readers refuse it, with the one error that shows nothing of it."""
    for parse in (parse_inner_lists, parse_byte_sequences):
        with pytest.raises(InvalidSignatureError) as error:
            parse(field)
        assert error.value.args == (InvalidSignatureError.TEXT,)
    return True


def as_theirs(value: BareItem) -> object:
    return TheirToken(value.text) if isinstance(value, Token) else value


class TestInnerLists:
    """``Signature-Input``."""

    @given(LISTS)
    def test_what_is_written_is_read_again(
        self, members: dict[str, tuple[list[Item], dict[str, BareItem]]]
    ) -> None:
        """Values, types and order survive; the text of a member is its serialisation."""
        texts = {key: serialise_inner_list(*member) for key, member in members.items()}
        found = parse_inner_lists(", ".join(f"{k}={v}" for k, v in texts.items()).encode())
        assert {key: each.text for key, each in found.items()} == texts
        for key, (items, parameters) in members.items():
            assert list(parse_items(found[key].items)) == items
            assert found[key].parameters == parameters
            kinds = [type(value) for value in found[key].parameters.values()]
            assert kinds == [type(value) for value in parameters.values()]

    @given(LISTS)
    def test_http_sfv_writes_and_reads_the_same(
        self, members: dict[str, tuple[list[Item], dict[str, BareItem]]]
    ) -> None:
        """An independent serialiser gives our text, byte for byte."""
        theirs = Dictionary()
        for key, (items, parameters) in members.items():
            inner = InnerList()
            for item in items:
                each = TheirItem(item.value)
                each.params.update({k: as_theirs(v) for k, v in item.parameters.items()})
                inner.append(each)
            inner.params.update({k: as_theirs(v) for k, v in parameters.items()})
            theirs[key] = inner
        ours = ", ".join(f"{key}={serialise_inner_list(*each)}" for key, each in members.items())
        assert str(theirs) == ours
        assert list(parse_inner_lists(ours.encode())) == list(theirs)

    @pytest.mark.parametrize("separator", [",", ", ", " ,\t", "  \t,\t  "])
    def test_any_blanks_may_stand_between_members(self, separator: str) -> None:
        """Intermediaries that join lines put their own blanks there."""
        found = parse_inner_lists(f'a=("x"){separator}b=();n=1'.encode())
        assert {key: each.text for key, each in found.items()} == {"a": '("x")', "b": "();n=1"}

    @pytest.mark.parametrize(
        "field",
        [
            "",
            " ",
            "a",
            "a=",
            "a=1",
            'a="x"',
            "a=x",
            "a=?1",
            "a=(",
            'a=("x',
            'a=("x"',
            "a=(x)",
            "a=(1)",
            "a=(:AA==:)",
            "a=(()) ",
            "A=()",
            "1=()",
            " a=()",
            "a =()",
            "a= ()",
            "a=(),",
            ",a=()",
            "a=(),,b=()",
            "a=() b=()",
            "a=()\n",
            "a=()\r\n ,b=()",
            "a=()\0",
            'a=("\N{LATIN SMALL LETTER E WITH ACUTE}")',
            'a=("\x7f")',
            'a=("\t")',
            'a=("\\x")',
            'a=("\\")',
        ],
    )
    def test_what_is_no_dictionary_of_inner_lists_is_refused(self, field: str) -> None:
        """Whatever is wrong, it is one error."""
        assert refused(field.encode())

    @pytest.mark.parametrize(
        "field",
        [
            'a=( "x")',
            'a=("x" )',
            'a=("x"  "y")',
            'a=("x"\t"y")',
            'a=("x""y")',
            "a=() ;n=1",
            "a=(); n=1",
            "a=();n =1",
            "a=();n= 1",
            "a=();n=01",
            "a=();n=-0",
            "a=();n=+1",
            "a=();n=--1",
            "a=();n=?1",
            "a=();n=:AB==:",
            "a=();n=:AA=:",
            "a=();n=:AA:",
            "a=();n=:A:",
            "a=();n=:AA==AA==:",
            "a=();n=:A-A_:",
        ],
    )
    def test_a_second_spelling_is_refused(self, field: str) -> None:
        """The RFC reads these, or some of its readers do; here a value has one text."""
        assert refused(field.encode())

    @pytest.mark.parametrize(
        "value", ["1.5", "1.", "@1", '%"a"', "1234567890123456", "-1234567890123456", "?2", "?", ""]
    )
    def test_what_no_signature_needs_is_refused(self, value: str) -> None:
        """Decimals, dates, display strings, longer integers."""
        assert refused(f"a=();n={value}".encode())

    @pytest.mark.parametrize(
        "field",
        ["a=(),a=()", "a=();n=1;n=2", "a=();n=1;n", 'a=("x";n;n)', 'a=("x";n=1;n="1")'],
    )
    def test_what_is_there_twice_is_refused(self, field: str) -> None:
        """The RFC takes the last one, and other readers the first."""
        assert Dictionary().parse(field.encode()) is None  # type: ignore[func-returns-value]
        assert refused(field.encode())

    def test_a_token_is_no_string(self) -> None:
        """``tag=a`` does not pass for ``tag="a"``."""
        parameters = parse_inner_lists(b'x=();tag=a;other="a"')["x"].parameters
        assert parameters["tag"] != parameters["other"] == "a"

    def test_sizes_are_bounded(self) -> None:
        """Of the field, its members, their items and their parameters."""
        bounds = (fields.MAX_MEMBERS, fields.MAX_ITEMS, fields.MAX_PARAMETERS)
        assert (fields.MAX_FIELD_BYTES, *bounds) == (8192, 8, 64, 16)
        whole = b'a=("' + b"x" * (fields.MAX_FIELD_BYTES - 6) + b'")'
        assert len(whole) == fields.MAX_FIELD_BYTES
        assert parse_inner_lists(whole)
        members = [f"k{number}=()" for number in range(fields.MAX_MEMBERS + 1)]
        items = ['"x"'] * (fields.MAX_ITEMS + 1)
        parameters = [f";p{number}" for number in range(fields.MAX_PARAMETERS + 1)]
        assert parse_inner_lists(",".join(members[:-1]).encode())
        assert parse_inner_lists(f"a=({' '.join(items[:-1])})".encode())
        assert parse_inner_lists(f"a=(){''.join(parameters[:-1])}".encode())
        for field in (
            whole + b";p",
            ",".join(members).encode(),
            f"a=({' '.join(items)})".encode(),
            f"a=(){''.join(parameters)}".encode(),
            f'a=("x"{"".join(parameters)})'.encode(),
        ):
            assert refused(field)

    @given(st.text(alphabet='a=(") ;,1\\:?0x\t-', max_size=40))
    def test_whatever_is_read_http_sfv_reads_with_the_same_text(self, text: str) -> None:
        """Pieces of the grammar in any order: never another error, never another meaning."""
        try:
            found = parse_inner_lists(text.encode())
        except InvalidSignatureError:
            return
        theirs = Dictionary()
        theirs.parse(text.encode())
        assert {key: str(each) for key, each in theirs.items()} == {
            key: each.text for key, each in found.items()
        }


class TestByteSequences:
    """``Signature`` and ``Content-Digest``."""

    @given(st.dictionaries(KEYS, st.binary(max_size=100), min_size=1, max_size=4))
    def test_what_is_written_is_read_again(self, members: dict[str, bytes]) -> None:
        """Here and by http_sfv."""
        text = serialise_byte_sequences(members)
        assert parse_byte_sequences(text.encode()) == members
        theirs = Dictionary()
        theirs.parse(text.encode())
        assert {key: each.value for key, each in theirs.items()} == members
        assert str(theirs) == text

    @pytest.mark.parametrize(
        "field",
        ["a=:AA==:;p", "a=:AA==:,a=:AA==:", "a=:AA==", "a=AA==", "a=::::", "a=:A A=:", "a"],
    )
    def test_other_members_are_refused(self, field: str) -> None:
        """Parameters have no meaning there, so they are none."""
        assert refused(field.encode())

    def test_the_number_of_members_is_bounded(self) -> None:
        """As that of signatures on one message."""
        members = [f"k{number}=::" for number in range(fields.MAX_MEMBERS + 1)]
        assert len(parse_byte_sequences(",".join(members[:-1]).encode())) == fields.MAX_MEMBERS
        assert refused(",".join(members).encode())

    def test_the_field_is_bounded(self) -> None:
        """As every field is."""
        longest = b"k" * (fields.MAX_FIELD_BYTES - 3) + b"=::"
        assert parse_byte_sequences(longest)
        assert refused(b"k" + longest)


class TestWriting:
    """What cannot be written is the caller's mistake, and said as such."""

    @pytest.mark.parametrize(
        "value", [10**15, -(10**15), "\n", "\x7f", "é", Token(""), Token("a b"), Token('"a"')]
    )
    def test_a_value_without_a_spelling_is_refused(self, value: BareItem) -> None:
        """None of them is cut or replaced."""
        with pytest.raises(InvalidInputError):
            serialise_item(Item("x", {"p": value}))

    @pytest.mark.parametrize("key", ["", "A", "1a", "a b", "a\n", "é"])
    def test_a_key_is_a_key(self, key: str) -> None:
        """Of a dictionary and of a parameter."""
        with pytest.raises(InvalidInputError):
            serialise_key(key)
        with pytest.raises(InvalidInputError):
            serialise_item(Item("x", {key: 1}))


def test_what_most_clients_send_is_read_as_everything_is() -> None:
    """Names alone with the usual parameters have a shorter way to the same result."""
    items = '"@method" "content-digest"'
    usual = ';created=1;expires=61;keyid="a";nonce="b (c)";tag="d"'
    found = fields.parse_inner_lists(f"sig1=({items}){usual}".encode())
    other = fields.parse_inner_lists(f'sig1=({items});tag="d"{usual[:-8]}'.encode())
    assert found["sig1"].text == f"({items}){usual}"
    assert (found["sig1"].items, other["sig1"].items) == (items, items)
    assert found["sig1"].parameters == other["sig1"].parameters
    bound = '"a";req'
    assert fields.parse_inner_lists(f"s=({bound}){usual}".encode())["s"].items == bound
    many = " ".join(f'"x{number}"' for number in range(65))
    for wrong in (f"sig1=({many}){usual}", f'sig1=({items}){usual};tag="e"'):
        with pytest.raises(InvalidSignatureError):
            fields.parse_inner_lists(wrong.encode())


@pytest.mark.parametrize(
    "field", ["a=();", "a=();n=", "a=();1", 'a=("x" )', 'a=("x";)', 'a=("x" "y)']
)
def test_what_only_begins_as_something_is_refused(field: str) -> None:
    """Python 3.11.2 took these, with what it had begun to match and then gave up: gh-106052."""
    assert refused(field.encode())


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Which Python before 3.11.5 gets wrong; of one character it gets it right."""
    patterns = [each for each in vars(fields).values() if isinstance(each, re.Pattern)]
    assert len(patterns) > 5
    for pattern in patterns:
        assert not re.search(r"(?<!\\)\)(?:[*+?]|\{[0-9,]+\})\+", as_text(pattern.pattern)), pattern


def as_text(pattern: str | bytes) -> str:
    """A pattern without its sets of characters, in which a bracket is one."""
    text = pattern.decode() if isinstance(pattern, bytes) else pattern
    return re.sub(r"\[(?:\\.|[^\]\\])+\]", "[]", text)
