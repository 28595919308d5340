"""Signatures of HTTP requests and answers: RFC 9421 and the plan's profile.

Pure: no web framework, no I/O, no clock. Algorithms come as key objects, which the policy hands
out.
"""

from __future__ import annotations

from mycelium_fractal_net.security.http_signatures.content_digest import (
    BodyDigest,
    check_content_digest,
    content_digest,
    content_digest_of,
)
from mycelium_fractal_net.security.http_signatures.coverage import (
    CoveragePolicy,
    check_coverage,
    check_response_coverage,
    check_times,
)
from mycelium_fractal_net.security.http_signatures.message_signature import (
    ALGORITHMS,
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
from mycelium_fractal_net.security.http_signatures.plan_profile import (
    TIMESTAMP_SECONDS,
    PlanSignature,
    bears_plan_signature,
    canonical_request,
    check_timestamp,
    parse_body_signature,
    parse_plan_signature,
    sign_plan,
    verify_plan,
)

__all__ = [
    "ALGORITHMS",
    "TAG",
    "TIMESTAMP_SECONDS",
    "BodyDigest",
    "Candidate",
    "CoveragePolicy",
    "MessageSignature",
    "PlanSignature",
    "RequestView",
    "ResponseView",
    "SignatureParameters",
    "bears_plan_signature",
    "canonical_request",
    "check_content_digest",
    "check_coverage",
    "check_response_coverage",
    "check_times",
    "check_timestamp",
    "choose_by_tag",
    "content_digest",
    "content_digest_of",
    "parse_body_signature",
    "parse_plan_signature",
    "parse_signatures",
    "sign",
    "sign_plan",
    "verify",
    "verify_plan",
]
