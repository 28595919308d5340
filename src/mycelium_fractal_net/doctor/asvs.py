"""The requirements of OWASP ASVS 5.0.0 that doctor's findings are about, in a few words each.

The numbers are those of the standard's release 5.0.0 (chapters 6, 8 and 11 to 13, and 16); a
requirement is cited as ``v5.0.0-11.4.4``, as the standard asks for. The wording is ours.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "5.0.0"

REQUIREMENTS: Final[dict[str, str]] = {
    "6.3.1": "brute force is held off as the documentation says",
    "6.3.3": "more than one factor, or several of one kind together",
    "6.3.4": "every way in is as strong as the others",
    "6.4.1": "a first secret is replaced",
    "6.7.2": "a challenge is never taken twice",
    "8.2.1": "functions are for those who were given them",
    "8.2.2": "data is for those who were given it",
    "8.3.2": "what is taken away is gone at once",
    "11.1.1": "keys are managed by a policy, after SP 800-57",
    "11.2.3": "128 bits of security at least",
    "11.3.2": "approved ciphers and modes alone",
    "11.3.3": "encrypted data is authenticated",
    "11.3.4": "a nonce serves once, and its limits are kept",
    "11.4.4": "keys are derived from passwords with enough work",
    "11.6.1": "approved algorithms for keys and signatures",
    "11.7.1": "memory is out of reach of other users and processes",
    "12.2.1": "clients come by TLS alone",
    "12.3.1": "every connection in and out is encrypted",
    "12.3.2": "certificates of servers are verified",
    "12.3.3": "TLS between services of one's own",
    "12.3.4": "certificates between services are trusted ones",
    "13.2.1": "services are authenticated, and not by unchanging secrets",
    "13.2.2": "accounts have the least rights",
    "13.3.1": "secrets are in a key vault, or an HSM",
    "13.3.2": "secrets are for those who need them",
    "13.3.3": "cryptography is done in an isolated module",
    "13.3.4": "secrets end, and are rotated",
    "13.4.2": "nothing of debugging in production",
    "13.4.5": "documentation and monitoring are not public by accident",
    "16.3.2": "access to sensitive data is logged",
    "16.3.3": "security events are logged",
    "16.4.2": "logs cannot be read or changed by others",
    "16.4.3": "logs are kept on another system too",
}


def cited(number: str) -> str:
    """How the standard is cited: ``v5.0.0-11.4.4``."""
    return f"v{VERSION}-{number}"
