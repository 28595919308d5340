"""The signature base: which components there are, what each is worth, and what is refused."""

from __future__ import annotations

import pytest
from http_sfv.item import InnerList
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures import structured_fields as fields
from mycelium_fractal_net.security.http_signatures.components import _checked, covered, named
from mycelium_fractal_net.security.http_signatures.message_signature import signature_base
from mycelium_fractal_net.security.http_signatures.messages import RequestView, ResponseView

Headers = list[tuple[bytes, bytes]]


def request(
    method: str = "POST",
    scheme: str = "https",
    authority: str = "www.example.com",
    path: bytes = b"/path",
    query: bytes = b"param=value",
    headers: Headers | None = None,
) -> RequestView:
    return RequestView(method, scheme, authority, path, query, headers or [])


def lines(message: RequestView | ResponseView, *components: str) -> list[str]:
    """The base of those components, without its last line."""
    items = named(components)
    *found, last = signature_base(message, covered(items), f"({items})").decode().split("\n")
    assert last == f'"@signature-params": ({items})'
    return found


def refused(message: RequestView | ResponseView, *components: str) -> bool:
    with pytest.raises(InvalidSignatureError):
        lines(message, *components)
    return True


class TestDerivedComponents:
    """RFC 9421 section 2.2."""

    def test_each_is_worth_what_the_rfc_says(self) -> None:
        """The examples of 2.2.1 to 2.2.7."""
        assert lines(
            request(),
            *("@method", "@target-uri", "@authority", "@scheme", "@request-target"),
            *("@path", "@query"),
        ) == [
            '"@method": POST',
            '"@target-uri": https://www.example.com/path?param=value',
            '"@authority": www.example.com',
            '"@scheme": https',
            '"@request-target": /path?param=value',
            '"@path": /path',
            '"@query": ?param=value',
        ]

    def test_an_empty_path_is_a_slash_and_no_query_is_a_question_mark(self) -> None:
        """But where they are parts of the whole target, the query's mark is left out."""
        message = request(path=b"", query=b"")
        assert lines(message, "@path", "@query", "@request-target", "@target-uri") == [
            '"@path": /',
            '"@query": ?',
            '"@request-target": /',
            '"@target-uri": https://www.example.com/',
        ]

    def test_path_and_query_are_as_sent(self) -> None:
        """Nothing is decoded: who decodes might see two targets as one."""
        message = request(path=b"/%63rypto//a/../b", query=b"foo=bar&baz=bat%2Dman&&")
        assert lines(message, "@path", "@query") == [
            '"@path": /%63rypto//a/../b',
            '"@query": ?foo=bar&baz=bat%2Dman&&',
        ]

    @pytest.mark.parametrize(
        ("scheme", "authority", "expected"),
        [
            ("https", "WWW.Example.COM", "www.example.com"),
            ("https", "example.com:443", "example.com"),
            ("http", "example.com:80", "example.com"),
            ("https", "example.com:80", "example.com:80"),
            ("http", "example.com:8000", "example.com:8000"),
            ("https", "[2001:DB8::1]:443", "[2001:db8::1]"),
            ("https", "[::443]", "[::443]"),
            ("wss", "example.com:443", "example.com:443"),
        ],
    )
    def test_the_authority_is_normalised(self, scheme: str, authority: str, expected: str) -> None:
        """In lower case, without the scheme's own port (RFC 9110 section 4.2.3)."""
        message = request(scheme=scheme, authority=authority)
        assert lines(message, "@authority") == [f'"@authority": {expected}']

    @pytest.mark.parametrize(
        "authority",
        ["", "a@b", "a:", "a:b", "a:123456", "a b", "a/b", "a?b", "a\n", "é", "[::1", "a\n:80"],
    )
    def test_an_authority_with_anything_else_is_refused(self, authority: str) -> None:
        """User information among it."""
        assert refused(request(authority=authority), "@authority")

    @pytest.mark.parametrize(
        ("message", "component"),
        [
            (request(path=b"path"), "@path"),
            (request(path=b"*"), "@request-target"),
            (request(path=b"https://other/"), "@path"),
            (request(path=b"/a?b"), "@path"),
            (request(path=b"/a?b"), "@target-uri"),
            (request(path=b"/a#b"), "@path"),
            (request(path=b"/a b"), "@path"),
            (request(path=b"/a\n"), "@path"),
            (request(path=b"/\xe9"), "@path"),
            (request(query=b"a#b"), "@query"),
            (request(query=b"a b"), "@query"),
            (request(query=b"a\nb"), "@query"),
            (request(query=b"a\tb"), "@request-target"),
            (request(method=""), "@method"),
            (request(method="GET "), "@method"),
            (request(method="GET\n"), "@method"),
            (request(method="GÉT"), "@method"),
            (request(scheme="HTTPS"), "@scheme"),
            (request(scheme=""), "@scheme"),
            (request(scheme="https:"), "@target-uri"),
        ],
    )
    def test_a_value_that_could_be_read_as_two_is_refused(
        self, message: RequestView, component: str
    ) -> None:
        """Line breaks, blanks, and what ends a path or a query."""
        assert refused(message, component)

    def test_the_method_keeps_its_case(self) -> None:
        """Methods are case-sensitive (RFC 9110 section 9.1)."""
        assert lines(request(method="post"), "@method") == ['"@method": post']


class TestQueryParameters:
    """RFC 9421 section 2.2.8."""

    def test_the_examples_of_the_rfc(self) -> None:
        """Values are decoded as forms are and encoded anew; an empty one is empty."""
        message = request(query=b"param=value&foo=bar&baz=batman&qux=")
        names = [f'"@query-param";name="{name}"' for name in ("baz", "qux", "param")]
        assert lines(message, *names) == [
            '"@query-param";name="baz": batman',
            '"@query-param";name="qux": ',
            '"@query-param";name="param": value',
        ]
        message = request(
            query=b"var=this%20is%20a%20big%0Amultiline%20value"
            b"&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something"
        )
        assert lines(request(query=b"a=b=c"), '"@query-param";name="a"') == [
            '"@query-param";name="a": b%3Dc'
        ]
        names = [f'"@query-param";name="{name}"' for name in ("var", "bar", "fa%C3%A7ade%22%3A%20")]
        assert lines(message, *names) == [
            '"@query-param";name="var": this%20is%20a%20big%0Amultiline%20value',
            '"@query-param";name="bar": with%20plus%20whitespace',
            '"@query-param";name="fa%C3%A7ade%22%3A%20": something',
        ]

    @pytest.mark.parametrize(
        "query", [b"", b"b=1", b"a=1&a=1", b"a=1&%61=2", b"a=%", b"a=%f", b"a=%FF", b"a=1&b=%zz"]
    )
    def test_a_parameter_that_is_not_there_once_is_refused(self, query: bytes) -> None:
        """Twice under another spelling too; and a query of broken percent-encodings is none."""
        assert refused(request(query=query), '"@query-param";name="a"')

    @pytest.mark.parametrize("name", ["", "%61", "a b", "c~d"])
    def test_a_name_in_another_spelling_names_nothing(self, name: str) -> None:
        """It is compared as encoded."""
        query = b"=1&a=1&a%20b=1&c~d=1"
        assert refused(request(query=query), f'"@query-param";name="{name}"')

    @given(st.text(max_size=20))
    def test_a_value_comes_back_encoded_whatever_it_is(self, value: str) -> None:
        """Only unreserved characters are left as they are."""
        from urllib.parse import quote_plus, unquote

        message = request(query=f"a={quote_plus(value)}".encode())
        (line,) = lines(message, '"@query-param";name="a"')
        encoded = line.removeprefix('"@query-param";name="a": ')
        assert unquote(encoded) == value
        assert set(encoded) <= set("%*-._") | set(map(chr, range(0x30, 0x7B)))


def test_what_strangers_send_is_remembered_within_bounds() -> None:
    """256 lists of components, 256 lists of items: whoever sends others costs no memory."""
    for remembered in (covered, _checked, fields.parse_items, fields._plain):
        assert remembered.cache_info().maxsize == 256


class TestFields:
    """RFC 9421 section 2.1."""

    def test_the_examples_of_the_rfc(self) -> None:
        """Blanks around a value go, lines are joined, the rest stays as it is."""
        headers = [
            (b"host", b"www.example.com"),
            (b"x-ows-header", b"  Leading and trailing whitespace.\t"),
            (b"cache-control", b"max-age=60"),
            (b"cache-control", b"   must-revalidate"),
            (b"example-dict", b" a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
            (b"x-empty-header", b""),
            (b"x-roman", b" XIX"),
        ]
        names = ["host", "x-ows-header", "cache-control", "example-dict", "x-empty-header"]
        assert lines(request(headers=headers), "x-roman") == ['"x-roman": XIX']
        assert lines(request(headers=headers), *names) == [
            '"host": www.example.com',
            '"x-ows-header": Leading and trailing whitespace.',
            '"cache-control": max-age=60, must-revalidate',
            '"example-dict": a=1,    b=2;x=1;y=2,   c=(a   b   c)',
            '"x-empty-header": ',
        ]

    def test_a_tab_inside_a_value_stays(self) -> None:
        """Section 2.5 takes all of field-content."""
        assert lines(request(headers=[(b"a", b"x\ty")]), "a") == ['"a": x\ty']

    @pytest.mark.parametrize(
        "value",
        [
            b"a\r\n b",
            b"a\n b",
            b'a\n"@method": GET',
            b"a\rb",
            b"a\0b",
            b"a\x7fb",
            b"\xe9",
            b"a\x0bb",
            b"a\n",
            b"\r\na",
            b"a\x0c",
        ],
    )
    def test_a_folded_line_or_a_control_character_is_refused(self, value: bytes) -> None:
        """Whoever gets a line break into a value could write components of his own."""
        assert refused(request(headers=[(b"a", value)]), "a")
        assert refused(request(headers=[(b"a", b"x"), (b"a", value)]), "a")

    def test_a_field_that_is_not_there_is_refused(self) -> None:
        """Also where another message has it."""
        assert refused(request(), "a")
        bound = ResponseView(200, [(b"a", b"1")], request(headers=[(b"b", b"1")]))
        assert refused(bound, "b")
        assert refused(bound, '"a";req')
        assert lines(bound, "a", '"b";req') == ['"a": 1', '"b";req: 1']


class TestIdentifiers:
    """Which components there are."""

    @pytest.mark.parametrize(
        "items",
        [
            '"@signature-params"',
            '"@unknown"',
            '"@Method"',
            '""',
            '"Content-Type"',
            '"content type"',
            '"content-type:"',
            '"a";sf',
            '"a";key="b"',
            '"a";bs',
            '"a";tr',
            '"a";unknown',
            '"a";req=1',
            '"a";req=?0',
            '"a";req="1"',
            '"a";name="b"',
            '"@method";name="b"',
            '"@query-param"',
            '"@query-param";name',
            '"@query-param";name=b',
            '"@query-param";name="b";sf',
            '"@status";req',
            '"a" "a"',
            '"@method" "@path" "@method"',
            '"a";req "a";req',
            '"@query-param";req;name="a" "@query-param";name="a";req',
        ],
    )
    def test_what_is_unknown_or_there_twice_is_refused(self, items: str) -> None:
        """A parameter that is not understood changes what the value means."""
        with pytest.raises(InvalidSignatureError):
            covered(items)
        with pytest.raises(InvalidInputError):
            named(items.split(" "))

    @pytest.mark.parametrize("name", ['"a" "b"', '"a"', 'a"', "a b", "a\n", "é", '"a', '"a";req '])
    def test_who_signs_names_one_component_at_a_time(self, name: str) -> None:
        """By its name, or by its serialised identifier."""
        if name == '"a"':
            assert named([name]) == named(["a"])
        else:
            with pytest.raises(InvalidInputError):
                named([name])

    def test_a_query_parameter_is_covered_once_for_each_name(self) -> None:
        """The name is a part of what it is."""
        items = '"@query-param";name="param" "@query-param";name="foo"'
        message = request(query=b"param=1&foo=2")
        assert b"\n" in signature_base(message, covered(items), f"({items})")

    @pytest.mark.parametrize("item", ['"@method";req', '"a";req', '"@status"'])
    def test_a_request_has_no_components_of_answers(self, item: str) -> None:
        """Section 2.4: ``req`` is for signatures of answers."""
        assert refused(request(headers=[(b"a", b"1")]), item if ";" in item else "@status")

    @pytest.mark.parametrize(
        "name",
        ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"],
    )
    def test_an_answer_takes_them_from_its_request_by_req_alone(self, name: str) -> None:
        """Without it they would say something of the answer."""
        answer = ResponseView(404, [], request())
        assert refused(answer, name)
        (line,) = lines(request(), name)
        assert lines(answer, "@status", f'"{name}";req') == [
            '"@status": 404',
            line.replace(f'"{name}"', f'"{name}";req'),
        ]
        query = '"@query-param";name="param"'
        assert refused(answer, query)
        assert lines(answer, f"{query};req") == [f"{query};req: value"]

    @pytest.mark.parametrize("status", [0, 99, 600, -200, 2000])
    def test_a_status_has_three_digits(self, status: int) -> None:
        """RFC 9110 section 15: from 100 to 599."""
        assert refused(ResponseView(status, [], request()), "@status")
        for known in (100, 599):
            assert lines(ResponseView(known, [], request()), "@status") == [f'"@status": {known}']

    @given(st.lists(st.from_regex(r"[a-z-]{1,8}", fullmatch=True), unique=True, max_size=6))
    def test_the_lines_name_what_http_sfv_reads_of_the_list(self, names: list[str]) -> None:
        """The identifiers are those of an independent parser, in its order."""
        items = named(names)
        theirs = InnerList()
        theirs.parse(f"({items})".encode())
        message = request(headers=[(name.encode(), b"v") for name in names])
        assert lines(message, *names) == [f"{each}: v" for each in theirs]


def test_what_a_signature_covers_is_not_changed_any_more() -> None:
    """Lists of components are remembered, and shared by all who cover the same."""
    found = covered(named(("@method",)))
    with pytest.raises(AttributeError):
        found.names = frozenset()  # type: ignore[misc]
