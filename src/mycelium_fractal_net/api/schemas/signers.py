"""The routes of signers."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, PageQuery, Warnings, examples, published
from mycelium_fractal_net.shapes.callers import SignerAnswer
from mycelium_fractal_net.shapes.members import CREDENTIAL_ID_PATTERN, KEY_NAME_PATTERN

_MOST_CREDENTIALS: Final = 100
_PUBLIC_KEY_CHARACTERS: Final = 4096  # the PEM of P-384, the longest, has 215
_Name = Annotated[
    str,
    Field(
        pattern=KEY_NAME_PATTERN,
        description="The `keyid` of its signatures.",
        examples=["billing"],
    ),
]
_CredentialId = Annotated[str, Field(pattern=CREDENTIAL_ID_PATTERN)]
_PUBLIC_KEY = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n"
    "-----END PUBLIC KEY-----\n"
)
_CREDENTIALS = ["un23xcch6poedl7m"]
_SIGNER: dict[str, Any] = {
    "name": "billing",
    "algorithm": "Ed25519",
    "credentials": _CREDENTIALS,
    "any_credential": False,
    "state": "active",
    "created_at": "2026-11-24T12:27:35Z",
    "public_key": _PUBLIC_KEY,
    "thumbprint": "34571606cb7a0d71be377e671ddcccae2a169ed7733598214129231cd30c4a3c",
}


class AddSignerRequest(Model):
    """A public key to be registered, for the credentials that are named, or for any."""

    model_config = examples(
        {"name": "billing", "public_key": _PUBLIC_KEY, "credentials": _CREDENTIALS},
        {"name": "gateway", "public_key": _PUBLIC_KEY, "any_credential": True},
    )

    name: _Name
    public_key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=_PUBLIC_KEY_CHARACTERS,
            description="A PEM block `PUBLIC KEY`, or the JSON of a public JWK; of Ed25519, P-256"
            " or P-384.",
        ),
    ]
    credentials: Annotated[
        list[_CredentialId] | None,
        Field(
            min_length=1,
            max_length=_MOST_CREDENTIALS,
            description="The credentials whose requests it signs; each works only in signed ones.",
        ),
    ] = None
    any_credential: Annotated[
        bool,
        Field(description="It may sign for any credential. Then it names none, and binds none."),
    ] = False


class SignerQuery(PageQuery):
    """A page of the list."""

    after: Annotated[
        str,
        Field(
            pattern=f"^(?:{KEY_NAME_PATTERN[1:-1]})?$",
            description="List what sorts after this name.",
        ),
    ] = ""


published(SignerAnswer, _SIGNER)


class SignerList(Model):
    """A page of signers in order of name; `next` is the `after` of the next page, if any."""

    model_config = examples({"signers": [_SIGNER], "next": None})

    signers: list[SignerAnswer]
    next: Annotated[str, Field(pattern=KEY_NAME_PATTERN)] | None
    warnings: Warnings
