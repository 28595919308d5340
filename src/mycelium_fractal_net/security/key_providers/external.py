"""Signing keys that never leave the custodian of a store: made, asked, looked at, destroyed.

A version's record says where its private key is, ``SCHEME:REFERENCE``, under the record's MAC, and
has its public key. That is all of it that the store holds: nothing is wrapped, so nothing moves
with a master key, and nothing can be handed out.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    InvalidInputError,
    InvalidKeyError,
    InvalidSignatureError,
    MasterKeyError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.custodian import SigningCustodian
from mycelium_fractal_net.security.records.keys import ALGORITHMS, KeyType, version_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion
    from mycelium_fractal_net.security.signatures.external_key import ExternalSigningKey
    from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

_LOG: Final = logging.getLogger(__name__)


class ExternalKeys:
    """The signing keys that the custodian of ``wrapping`` keeps for one store.

    The present custodian makes new ones; a former one, while it is configured, goes on with those
    that it has. All methods that ask it may wait, and raise as a :class:`.SigningCustodian` does;
    those that take a version raise :class:`MasterKeyError` where another custodian has its key.
    """

    def __init__(self, wrapping: Wrapping, policy: Policy) -> None:
        self._wrapping = wrapping
        self._policy = policy

    def algorithm(self, wanted: str | None) -> str:
        """``wanted``, or the first allowed that the custodian makes keys for. Asks nobody.

        Raises :class:`InvalidInputError` where it makes none, or none of that.
        """
        custodian = self._wrapping.custodian.parts[0]
        made = custodian.signing_algorithms if isinstance(custodian, SigningCustodian) else ()
        names = [each for each in ALGORITHMS[KeyType.SIGNING] if each in made]
        if not names:
            raise InvalidInputError(
                f"the custodian of the master key here ({custodian.scheme}) keeps no signing keys:"
                " an external one needs Vault, AWS KMS or an HSM (MFN_KEY_PROVIDER)"
            )
        if wanted is not None and wanted not in names:
            raise InvalidInputError(
                f"the custodian here ({custodian.scheme}) makes external keys of:"
                f" {', '.join(names)}"
            )
        return wanted or next(filter(self._policy.allows, names), names[0])

    def made(self, key: Key, version: KeyVersion) -> KeyVersion:
        """The version with a fresh key of the custodian's.

        Who does not store it says so to :meth:`discard`.
        """
        self._policy.check(key.algorithm)
        custodian = self._wrapping.custodian.parts[0]
        self.algorithm(key.algorithm)
        binding = self._wrapping.binding_of_version(key, version)
        made = _signing(custodian).create_signing_key(key.algorithm, binding)
        found = replace(version, external=f"{custodian.scheme}:{made.reference}")
        try:
            public = self._policy.verifying_key(made.public_key)
            usable = public.algorithm == key.algorithm
        except InvalidKeyError:
            usable = False
        if not usable:
            self.discard(found)
            raise CustodianUnavailableError("the custodian answers what cannot be used")
        return replace(found, public_key=made.public_key)

    def discard(self, version: KeyVersion) -> None:
        """Destroy a key that no record will name; where that fails it is left, and logged."""
        try:
            self.destroy(version)
        except MfnError:
            _LOG.warning("a signing key that no record names is left over: %s", version.external)

    def signer(self, key: Key, version: KeyVersion) -> ExternalSigningKey:
        """Signs under that version. The caller has checked what its state permits."""
        custodian, reference = self._keeper(version)
        algorithm = key.algorithm
        return self._policy.external_signing_key(
            version.public_key or b"",
            lambda message: custodian.sign(reference, algorithm, message),
            lambda verify: self._refusal(key, version, verify),
        )

    def is_with_present(self, version: KeyVersion) -> bool:
        """Whether the present custodian has that version's key, and no other in its place."""
        custodian = self._wrapping.custodian.parts[0]
        scheme, _, reference = (version.external or "").partition(":")
        if scheme == custodian.scheme and isinstance(custodian, SigningCustodian):
            with suppress(CustodianDeniedError):
                return custodian.signing_public_key(reference) == version.public_key
        return False

    def check(self, key: Key, version: KeyVersion) -> None:
        """See that the custodian has the key, and no other in its place.

        Raises :class:`CustodianDeniedError` where it is gone or refused, and
        :class:`StoreIntegrityError` where it has another public key than the record.
        """
        custodian, reference = self._keeper(version)
        if custodian.signing_public_key(reference) != version.public_key:
            raise _replaced(key, version)

    def destroy(self, version: KeyVersion) -> None:
        """Destroy the key with the custodian; it is no error if it is gone."""
        custodian, reference = self._keeper(version)
        custodian.destroy_signing_key(reference)

    def _refusal(
        self, key: Key, version: KeyVersion, verify: Callable[[VerifyingKey], None]
    ) -> MfnError:
        """Why a fresh signature does not verify: another key made it, or it is of something else.

        Tampering it is only where the custodian has another key that did make it.
        """
        custodian, reference = self._keeper(version)
        try:
            verify(self._policy.verifying_key(custodian.signing_public_key(reference)))
        except (InvalidKeyError, InvalidSignatureError):
            return CustodianUnavailableError("the custodian answers what cannot be used")
        except MfnError as error:
            return error
        return _replaced(key, version)

    def _keeper(self, version: KeyVersion) -> tuple[SigningCustodian, str]:
        """The custodian that has the version's key, and what the key is called there."""
        scheme, _, reference = (version.external or "").partition(":")
        parts = self._wrapping.custodian.parts
        found = [_signing(each) for each in parts if each.scheme == scheme]
        if not found:
            here = " and ".join(each.scheme for each in parts)
            raise MasterKeyError(
                f"its private key is kept by another custodian ({scheme}) than what is configured"
                f" here ({here})"
            )
        # Of one kind there may be two, while a store moves: the public key tells which it is.
        for custodian in found[:-1]:
            with suppress(CustodianDeniedError):
                if custodian.signing_public_key(reference) == version.public_key:
                    return custodian, reference
        return found[-1], reference


def _replaced(key: Key, version: KeyVersion) -> StoreIntegrityError:
    return StoreIntegrityError(
        f"{version_id(key.key_id, version.version)} signs with another key than its record says:"
        " the one with the custodian was replaced"
    )


def _signing(custodian: object) -> SigningCustodian:
    if isinstance(custodian, SigningCustodian):
        return custodian
    raise CustodianDeniedError("the custodian of the master key keeps no signing keys")
