"""One signature on a request: chosen, covering enough, in time, and true for no other request."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.content_digest import content_digest
from mycelium_fractal_net.security.http_signatures.coverage import (
    announces_body,
    check_coverage,
    check_response_coverage,
    check_times,
)
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    Candidate,
    MessageSignature,
    SignatureParameters,
    choose_by_tag,
    parse_signatures,
    sign,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView, ResponseView
from mycelium_fractal_net.security.http_signatures.plan_profile import PlanSignature
from mycelium_fractal_net.security.http_signatures.structured_fields import (
    Item,
    Token,
    parse_inner_lists,
)
from mycelium_fractal_net.security.policy import Policy
from tests.support.algorithms import SIGNING, SigningKeys

POLICY = Policy()
ALGORITHMS = ["Ed25519", "ECDSA-P256", "ECDSA-P384"]
KEYS = SigningKeys()
KEY = KEYS[SIGNING]
NOW = 1_800_000_000
BODY = b'{"data":"aGVsbG8="}'
PARAMETERS = SignatureParameters(
    created=NOW, expires=NOW + 300, keyid="billing", nonce="b3k2pp5k7z50gnwpyemd00", tag=TAG
)
PARTS = ("@method", "@authority", "@path", "@query")
FIELDS = ("content-digest", "content-type", "x-api-key")
REQUEST = RequestView(
    "POST",
    "https",
    "api.example.com",
    b"/crypto/encrypt",
    b"a=1&b=2",
    [
        (b"host", b"api.example.com"),
        (b"content-type", b"application/json"),
        (b"content-digest", content_digest(BODY).encode()),
        (b"x-api-key", b"mfn_0123456789abcdef_secret"),
    ],
)


def changed(request: RequestView, **members: object) -> RequestView:
    """The same request with other members."""
    fields = ("method", "scheme", "authority", "raw_path", "raw_query", "headers")
    return RequestView(**{**{name: getattr(request, name) for name in fields}, **members})


def with_header(request: RequestView, name: bytes, value: bytes | None) -> RequestView:
    """The same request with that header in place of its own; None takes it away."""
    rest = [header for header in request.headers if header[0] != name]
    return changed(request, headers=rest if value is None else [*rest, (name, value)])


def signed(
    *components: str,
    request: RequestView = REQUEST,
    label: str = "sig1",
    parameters: SignatureParameters = PARAMETERS,
    algorithm: str = SIGNING,
) -> RequestView:
    """The request with its signature."""
    signature_input, signature = sign(
        request,
        label=label,
        components=components or (*PARTS, *FIELDS),
        parameters=parameters,
        signer=KEYS[algorithm].sign_fixed_size,
    )
    more = [(b"signature-input", signature_input.encode()), (b"signature", signature.encode())]
    return changed(request, headers=[*request.headers, *more])


def chosen(message: RequestView | ResponseView) -> MessageSignature:
    return choose_by_tag(parse_signatures(message))


def accepted(request: RequestView, algorithm: str = SIGNING, has_body: bool = True) -> bool:
    """All that a server asks of the head of a request."""
    try:
        signature = chosen(request)
        check_coverage(signature, request, has_body=has_body)
        check_times(signature, now=NOW + 1, skew=5)
        verify(signature, request, KEYS[algorithm].public)
    except InvalidSignatureError:
        return False
    return True


class TestVerifying:
    """Signing and verifying."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("named", [False, True])
    def test_a_signed_request_is_accepted(self, algorithm: str, named: bool) -> None:
        """By each algorithm, with its name in ``alg`` and without."""
        names = {
            "Ed25519": "ed25519",
            "ECDSA-P256": "ecdsa-p256-sha256",
            "ECDSA-P384": "ecdsa-p384-sha384",
        }
        parameters = msgspec.structs.replace(PARAMETERS, alg=names[algorithm] if named else None)
        assert accepted(signed(parameters=parameters, algorithm=algorithm), algorithm)

    @pytest.mark.parametrize("algorithm", ["ECDSA-P256", "ECDSA-P384"])
    def test_ecdsa_is_r_and_s_and_never_der(self, algorithm: str) -> None:
        """RFC 9421 section 3.3.4; a DER signature of the same base is refused."""
        key = KEYS[algorithm]
        request = signed(algorithm=algorithm)
        signature = chosen(request)
        assert len(signature.signature) == {"ECDSA-P256": 64, "ECDSA-P384": 96}[algorithm]
        made: list[bytes] = []

        def der(base: bytes) -> bytes:
            made.append(key.sign(base))
            return made[0]

        _, value = sign(
            REQUEST,
            label="sig1",
            components=(*PARTS, *FIELDS),
            parameters=PARAMETERS,
            signer=der,
        )
        assert key.public.fixed_size(made[0]) != made[0]
        assert not accepted(with_header(request, b"signature", value.encode()), algorithm)

    def test_the_algorithm_is_the_keys_and_never_the_messages(self) -> None:
        """An ``alg`` of another one is refused, also where the signature would verify."""
        for alg in ("ecdsa-p256-sha256", "hmac-sha256", "none", "Ed25519", ""):
            parameters = msgspec.structs.replace(PARAMETERS, alg=alg)
            assert not accepted(signed(parameters=parameters, algorithm="ECDSA-P384"), "ECDSA-P384")

    def test_a_key_for_no_http_algorithm_verifies_nothing(self) -> None:
        """ML-DSA has no name in the RFC's registry."""
        assert not accepted(signed(algorithm="ML-DSA-65"), "ML-DSA-65")

    def test_another_key_refuses(self) -> None:
        """Of the same algorithm and of another one."""
        request = signed()
        for key in (POLICY.generate_signing_key(SIGNING), KEYS["ECDSA-P384"]):
            with pytest.raises(InvalidSignatureError):
                verify(chosen(request), request, key.public)


ALL = (
    *PARTS,
    *FIELDS,
    "@target-uri",
    "@scheme",
    "@request-target",
    '"@query-param";name="a"',
    "host",
)
CHANGES: dict[str, Callable[[RequestView], RequestView]] = {
    "@method": lambda r: changed(r, method="PUT"),
    "@scheme": lambda r: changed(r, scheme="http"),
    "@authority": lambda r: changed(r, authority="api.example.org"),
    "@path": lambda r: changed(r, raw_path=b"/crypto/decrypt"),
    "@query": lambda r: changed(r, raw_query=b"a=1&b=3"),
    "@target-uri": lambda r: changed(r, raw_path=b"/%63rypto/encrypt"),
    "@request-target": lambda r: changed(r, raw_query=b""),
    '"@query-param";name="a"': lambda r: changed(r, raw_query=b"a=2&b=2"),
    "content-digest": lambda r: with_header(r, b"content-digest", content_digest(b"").encode()),
    "content-type": lambda r: with_header(r, b"content-type", b"text/plain"),
    "x-api-key": lambda r: with_header(r, b"x-api-key", b"mfn_0123456789abcdef_other"),
    "host": lambda r: with_header(r, b"host", b"other"),
}


class TestTampering:
    """Nothing that is covered can be changed."""

    @pytest.mark.parametrize("component", ALL)
    def test_every_covered_component_that_is_changed_is_refused(self, component: str) -> None:
        """Each in turn, covered alone and among the others; uncovered it does not matter."""

        def verifies(request: RequestView) -> bool:
            try:
                verify(chosen(request), request, KEY.public)
            except InvalidSignatureError:
                return False
            return True

        change = CHANGES[component]
        for request in (signed(component), signed(*ALL)):
            assert verifies(request)
            assert not verifies(change(request))
        assert verifies(change(signed("x-other", request=with_header(REQUEST, b"x-other", b"1"))))

    @pytest.mark.parametrize("name", [b"content-type", b"content-digest", b"x-api-key"])
    def test_a_covered_field_that_is_taken_away_or_doubled_is_refused(self, name: bytes) -> None:
        """A second line of it changes the value, and none is no value."""
        request = signed()
        assert not accepted(with_header(request, name, None))
        doubled = [*request.headers, (name, REQUEST.fields[name])]
        assert not accepted(changed(request, headers=doubled))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (f"created={NOW}", f"created={NOW - 1}"),
            (f"expires={NOW + 300}", f"expires={NOW + 299}"),
            ('"billing"', '"reports"'),
            ('nonce="b3', 'nonce="b4'),
            ('"@method" "@authority"', '"@authority" "@method"'),
            (' "x-api-key"', ""),
            (";tag=", ';alg="ed25519";tag='),
            (f";created={NOW}", ""),
        ],
    )
    def test_the_parameters_are_signed_with_it(self, old: str, new: str) -> None:
        """And so are the list of components and its order."""
        request = signed()
        text = request.fields[b"signature-input"].decode()
        assert text.replace(old, new) != text
        changed_input = text.replace(old, new).encode()
        assert not accepted(with_header(request, b"signature-input", changed_input))

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_every_changed_byte_of_a_signature_is_refused(self, algorithm: str) -> None:
        """As is one that is shorter or longer."""
        request = signed(algorithm=algorithm)
        signature = chosen(request)
        value = signature.signature
        others = [value[:i] + bytes([value[i] ^ 1]) + value[i + 1 :] for i in range(len(value))]
        for other in (*others, b"", value[:-1], value + b"\0", b"\0" + value, bytes(len(value))):
            forged = msgspec.structs.replace(signature, signature=other)
            with pytest.raises(InvalidSignatureError):
                verify(forged, request, KEYS[algorithm].public)


class TestChoosing:
    """Which of several signatures is meant for us."""

    OTHER = b'proxy=("a";sf "@unknown" "B";x);created=1;tag="proxy"', b"proxy=:AAAA:"

    def joined(self, *pairs: tuple[bytes, bytes]) -> RequestView:
        headers = list(REQUEST.headers)
        for signature_input, signature in pairs:
            headers += [(b"signature-input", signature_input), (b"signature", signature)]
        return changed(REQUEST, headers=headers)

    def pair(self, request: RequestView) -> tuple[bytes, bytes]:
        return request.fields[b"signature-input"], request.fields[b"signature"]

    def test_the_one_with_our_tag_is_chosen_among_others(self) -> None:
        """What the others cover is not for us to understand, on lines of their own or joined."""
        ours = self.pair(signed(label="ours"))
        assert accepted(self.joined(ours, self.OTHER))
        assert accepted(self.joined(self.OTHER, ours))
        assert chosen(self.joined(self.OTHER, ours)).label == "ours"

    def test_two_with_our_tag_are_refused(self) -> None:
        """A server that takes either could be shown one and act on the other."""
        pairs = [self.pair(signed(label=label)) for label in ("a", "b")]
        assert accepted(self.joined(pairs[0]))
        assert not accepted(self.joined(*pairs))

    @pytest.mark.parametrize("tag", [None, "", "other", TAG.upper(), TAG + " "])
    def test_none_with_our_tag_is_refused(self, tag: str | None) -> None:
        """A signature for another application is none for this one."""
        assert not accepted(signed(parameters=msgspec.structs.replace(PARAMETERS, tag=tag)))

    def test_a_token_is_no_tag(self) -> None:
        """Nor is a string in another type's clothes."""
        request = signed()
        text = request.fields[b"signature-input"].replace(f'"{TAG}"'.encode(), TAG.encode())
        assert parse_signatures(with_header(request, b"signature-input", text))
        assert not accepted(with_header(request, b"signature-input", text))

    def test_no_signature_at_all_is_none(self) -> None:
        """Whether that is right is for the policy of the route to say."""
        assert parse_signatures(REQUEST) == []
        with pytest.raises(InvalidSignatureError):
            choose_by_tag([])

    def test_one_field_without_the_other_is_refused(self) -> None:
        """RFC 9421 section 4.2: a label in one of them alone is an error."""
        request = signed()
        for name in (b"signature", b"signature-input"):
            assert not accepted(with_header(request, name, None))
            more = b", x=:AA==:" if name == b"signature" else b', x=();tag="t"'
            with pytest.raises(InvalidSignatureError):
                parse_signatures(with_header(request, name, request.fields[name] + more))

    @pytest.mark.parametrize("name", [b"signature", b"signature-input"])
    def test_blanks_around_a_field_are_none_of_it(self, name: bytes) -> None:
        """And nothing else is taken for a blank."""
        request = signed()
        value = request.fields[name]
        assert accepted(with_header(request, name, b" \t" + value + b"\t "))
        for wrong in (value + b"\n", b"\x0b" + value, b"X" + value, value + b"X"):
            assert not accepted(with_header(request, name, wrong))

    def test_a_parameter_that_is_not_said_is_none(self) -> None:
        """Not empty: an empty one was said."""
        member = parse_inner_lists(b"a=()")["a"]
        found = MessageSignature.of(Candidate("a", member, b"")).parameters
        assert set(msgspec.structs.astuple(found)) == {None}

    @pytest.mark.parametrize(
        "old_and_new",
        [
            (f"created={NOW}", f'created="{NOW}"'),
            (f"created={NOW}", "created"),
            ('keyid="billing"', "keyid=billing"),
            ('keyid="billing"', "keyid=:AA==:"),
            ("nonce=", "other="),
        ],
    )
    def test_a_parameter_that_is_unknown_or_of_another_type_is_refused(
        self, old_and_new: tuple[str, str]
    ) -> None:
        """Before anything is verified."""
        request = signed()
        text = request.fields[b"signature-input"].decode().replace(*old_and_new)
        with pytest.raises(InvalidSignatureError):
            chosen(with_header(request, b"signature-input", text.encode()))


class TestCoverage:
    """What must be covered."""

    @pytest.mark.parametrize(
        "components",
        [
            (*PARTS, *FIELDS),
            ("@method", "@target-uri", *FIELDS),
            (*PARTS, "@target-uri", *FIELDS, "host", "@scheme"),
        ],
    )
    def test_method_target_body_and_api_key_are_enough(self, components: tuple[str, ...]) -> None:
        """The target as one or in its parts; more is no harm."""
        assert accepted(signed(*components))
        for one in components:
            rest = [each for each in components if each != one]
            needed = one in ("@method", *FIELDS) or len(components) <= 7
            assert accepted(signed(*rest)) is not (needed or one not in ALL)

    def test_a_request_without_a_body_needs_no_digest(self) -> None:
        """Nor an API key that is not sent; but with a body both fields are needed."""
        bare = changed(REQUEST, method="GET", headers=[])
        assert accepted(signed(*PARTS, request=bare), has_body=False)
        assert accepted(signed("@method", "@target-uri", request=bare), has_body=False)
        assert not accepted(signed(*PARTS, request=bare), has_body=True)

    def test_a_component_of_answers_covers_nothing_of_a_request(self) -> None:
        """``"x-api-key";req`` is not ``"x-api-key"``."""
        answer = ResponseView(200, [], REQUEST)
        signature_input, signature = sign(
            answer,
            label="a",
            components=[*(f'"{each}";req' for each in (*PARTS, *FIELDS))],
            parameters=PARAMETERS,
            signer=KEY.sign_fixed_size,
        )
        headers = [(b"signature-input", signature_input.encode())]
        headers.append((b"signature", signature.encode()))
        assert not accepted(changed(REQUEST, headers=[*REQUEST.headers, *headers]))

    @pytest.mark.parametrize("name", ["created", "expires", "keyid", "nonce"])
    def test_no_parameter_may_be_missing(self, name: str) -> None:
        """Without one of them it is replayed, or nobody's."""
        assert not accepted(signed(parameters=msgspec.structs.replace(PARAMETERS, **{name: None})))

    @pytest.mark.parametrize(
        ("lifetime", "fits"), [(1, True), (300, True), (301, False), (0, False), (-1, False)]
    )
    def test_it_lives_for_300_seconds_at_most(self, lifetime: int, fits: bool) -> None:
        """And for one at least."""
        parameters = msgspec.structs.replace(PARAMETERS, expires=NOW + lifetime)
        assert accepted(signed(parameters=parameters)) is fits

    @pytest.mark.parametrize(
        ("nonce", "fits"), [("", False), ("x", True), ("x" * 256, True), ("x" * 257, False)]
    )
    def test_a_nonce_has_bounds(self, nonce: str, fits: bool) -> None:
        """The empty one is none."""
        parameters = msgspec.structs.replace(PARAMETERS, nonce=nonce)
        assert accepted(signed(parameters=parameters)) is fits

    def test_an_application_may_ask_for_more(self) -> None:
        """Further headers, in a message that has them."""
        cookie = with_header(REQUEST, b"cookie", b"a=1")
        for components, asked, fits in (
            ((*PARTS, "cookie"), ("cookie",), True),
            (PARTS, ("cookie",), False),
            (PARTS, (), True),
        ):
            bears = signed(*components, request=cookie)
            signature = choose_by_tag(parse_signatures(bears))
            if fits:
                check_coverage(signature, bears, has_body=False, when_sent=asked)
                continue
            with pytest.raises(InvalidSignatureError):
                check_coverage(signature, bears, has_body=False, when_sent=asked)

    @pytest.mark.parametrize("name", ["x-api-key", "x-associated-data"])
    def test_what_changes_a_route_of_ours_is_covered_where_it_is_sent(self, name: str) -> None:
        """In a request and in an answer; where it is not sent nobody asks for it."""
        request = changed(REQUEST, headers=[(name.encode(), b"x")])
        assert accepted(signed(*PARTS, name, request=request), has_body=False)
        assert not accepted(signed(*PARTS, request=request), has_body=False)
        answer = ResponseView(200, [(name.encode(), b"x")], signed())
        for components, fits in (((name,), True), ((), False)):
            made, _ = sign(
                answer,
                label="a",
                components=["@status", '"signature";req', *components],
                parameters=PARAMETERS,
                signer=KEY.sign_fixed_size,
            )
            fields = [(b"signature-input", made.encode()), (b"signature", b"a=:AA==:")]
            signature = chosen(ResponseView(200, fields, answer.request))
            if fits:
                check_response_coverage(signature, answer, has_body=False)
                continue
            with pytest.raises(InvalidSignatureError):
                check_response_coverage(signature, answer, has_body=False)

    @pytest.mark.parametrize(
        ("headers", "announced"),
        [
            ([], False),
            ([(b"content-length", b"0")], False),
            ([(b"content-length", b" 0\t")], False),
            ([(b"content-length", b"0\x0b")], True),
            ([(b"content-length", b"X0")], True),
            ([(b"content-length", b"5")], True),
            ([(b"transfer-encoding", b"chunked")], True),
            ([(b"content-length", b"0"), (b"transfer-encoding", b"chunked")], True),
        ],
    )
    def test_a_body_is_announced_by_a_length_or_a_coding(
        self, headers: list[tuple[bytes, bytes]], announced: bool
    ) -> None:
        """Whatever is no plain zero announces one."""
        assert announces_body(changed(REQUEST, headers=headers)) is announced

    def test_another_tag_is_not_ours(self) -> None:
        """Whatever it covers, and also where it was chosen."""
        bears = signed(*PARTS, parameters=msgspec.structs.replace(PARAMETERS, tag="app"))
        with pytest.raises(InvalidSignatureError):
            check_coverage(choose_by_tag(parse_signatures(bears), "app"), bears, has_body=False)


class TestTimes:
    """When it holds."""

    @pytest.mark.parametrize(
        ("now", "holds"),
        [
            (NOW - 5, True),
            (NOW - 5.01, False),
            (NOW + 305, True),
            (NOW + 305.01, False),
            (float("nan"), False),
        ],
    )
    def test_from_created_to_expires_with_the_skew_either_way(
        self, now: float, holds: bool
    ) -> None:
        """Not before it was made, not after it expired."""
        signature = chosen(signed())
        if holds:
            check_times(signature, now=now, skew=5)
        else:
            with pytest.raises(InvalidSignatureError):
                check_times(signature, now=now, skew=5)

    @pytest.mark.parametrize("name", ["created", "expires"])
    def test_without_its_times_it_never_holds(self, name: str) -> None:
        """The check stands by itself."""
        signature = chosen(signed(parameters=msgspec.structs.replace(PARAMETERS, **{name: None})))
        with pytest.raises(InvalidSignatureError):
            check_times(signature, now=NOW, skew=5)


class TestAnswers:
    """A signature of an answer, bound to its request."""

    HEADERS = (
        (b"content-type", b"application/json"),
        (b"content-digest", content_digest(BODY).encode()),
    )

    def answer(self, request: RequestView, *components: str) -> ResponseView:
        plain = ResponseView(200, self.HEADERS, request)
        parameters = msgspec.structs.replace(PARAMETERS, nonce=None)
        signature_input, signature = sign(
            plain,
            label="answer",
            components=components,
            parameters=parameters,
            signer=KEY.sign_fixed_size,
        )
        more = [(b"signature-input", signature_input.encode()), (b"signature", signature.encode())]
        return ResponseView(200, [*self.HEADERS, *more], request)

    def accepted(self, answer: ResponseView, has_body: bool = True) -> bool:
        try:
            signature = chosen(answer)
            check_response_coverage(signature, answer, has_body=has_body)
            verify(signature, answer, KEY.public)
        except InvalidSignatureError:
            return False
        return True

    def test_an_answer_to_a_signed_request_covers_its_signature(self) -> None:
        """And no other request's: the nonce in it makes it one of a kind."""
        components = ("@status", "content-digest", "content-type", '"signature";req')
        answer = self.answer(signed(), *components)
        assert self.accepted(answer)
        other = signed(parameters=msgspec.structs.replace(PARAMETERS, nonce="another"))
        assert not self.accepted(ResponseView(200, answer.headers, other))
        assert not self.accepted(ResponseView(403, answer.headers, answer.request))
        for one in components:
            rest = [each for each in components if each != one]
            assert not self.accepted(self.answer(signed(), *rest))
        assert self.accepted(self.answer(signed(), "@status", '"signature";req'), has_body=False)

    def test_an_answer_to_another_request_covers_its_method_and_target(self) -> None:
        """That is as near as it can be bound."""
        body = ("@status", "content-digest", "content-type")
        parts = [f'"{each}";req' for each in PARTS]
        assert self.accepted(self.answer(REQUEST, *body, *parts))
        assert self.accepted(self.answer(REQUEST, *body, '"@method";req', '"@target-uri";req'))
        assert not self.accepted(self.answer(REQUEST, *body, *parts[1:]))
        assert not self.accepted(self.answer(REQUEST, *body, *parts[:-1]))

    def test_it_has_the_times_and_the_key_of_any_signature(self) -> None:
        """Only the nonce is its request's."""
        answer = self.answer(signed(), "@status", '"signature";req')
        signature = chosen(answer)
        for name in ("created", "expires", "keyid"):
            parameters = msgspec.structs.replace(signature.parameters, **{name: None})
            other = msgspec.structs.replace(signature, parameters=parameters)
            with pytest.raises(InvalidSignatureError):
                check_response_coverage(other, answer, has_body=False)


class TestViews:
    """What a request and an answer show of themselves."""

    def test_no_header_path_or_query_is_shown(self) -> None:
        """An API key in a traceback is a leaked one."""
        assert repr(REQUEST) == "RequestView('POST')"
        assert repr(ResponseView(200, REQUEST.headers, REQUEST)) == "ResponseView(200)"

    def test_they_are_frozen(self) -> None:
        """What was verified is what is read later."""
        with pytest.raises(AttributeError):
            REQUEST.method = "PUT"  # type: ignore[misc]
        request = signed()
        signature = chosen(request)
        (candidate,) = parse_signatures(request)
        kept = (signature, signature.parameters, signature.covered, candidate, candidate.input)
        for each in (*kept, Item("a", {}), Token("a"), PlanSignature(b"", b"", NOW, "n")):
            for name in each.__struct_fields__:
                with pytest.raises(AttributeError):
                    setattr(each, name, None)


class TestSigning:
    """What cannot be signed is the caller's mistake."""

    @pytest.mark.parametrize(
        ("label", "component", "keyid"),
        [
            ("Sig", "@method", "k"),
            ("", "@method", "k"),
            ("sig", "x-not-there", "k"),
            ("sig", "@status", "k"),
            ("sig", "@unknown", "k"),
            ("sig", "@method", "k\n"),
            ("sig", "@method", "é"),
        ],
    )
    def test_a_label_component_or_parameter_that_cannot_be_written_is_refused(
        self, label: str, component: str, keyid: str
    ) -> None:
        """With the error for what a caller passes, before the key is used."""
        used: list[bytes] = []

        def signer(base: bytes) -> bytes:
            used.append(base)
            return b""

        with pytest.raises(InvalidInputError):
            sign(
                REQUEST,
                label=label,
                components=[component],
                parameters=SignatureParameters(keyid=keyid),
                signer=signer,
            )
        assert not used

    def test_the_parameters_stand_in_one_order(self) -> None:
        """Times as integers, the rest as strings."""
        signature_input, _ = sign(
            REQUEST,
            label="a",
            components=[],
            parameters=SignatureParameters(
                tag="t", alg="ed25519", nonce="n", keyid='k"', expires=2, created=1
            ),
            signer=KEY.sign_fixed_size,
        )
        assert signature_input == (
            'a=();created=1;expires=2;keyid="k\\"";nonce="n";alg="ed25519";tag="t"'
        )


def test_parameters_are_those_that_are_given_and_no_others() -> None:
    """What is absent is absent, and is not an empty text."""
    assert msgspec.structs.asdict(SignatureParameters(created=1)) == {
        "created": 1, "expires": None, "keyid": None, "nonce": None, "alg": None, "tag": None,
    }  # fmt: skip
