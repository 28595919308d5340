"""Every function that makes sense of bytes or text from outside, and the target that fuzzes it.

A test holds these tables against the code: a function that decodes and stands in neither fails it,
and so does a parser that the corpus of its target does not reach.
"""

from __future__ import annotations

from typing import Final

DECODERS: Final = frozenset(
    {
        *("loads", "decode_lines", "load_der_public_key", "load_der_private_key", "feed_data"),
        *("load_pem_x509_certificates", "urlsplit", "fromhex", "b64decode", "urlsafe_b64decode"),
        *("a2b_base64", "unhexlify", "fromisoformat", "strptime", "ip_address", "ip_network"),
        *("unquote_to_bytes", "unpack_from"),
    }
)
"""What a function calls that decodes; ``decode`` of msgspec beside them."""

PARSERS: Final[dict[str, tuple[str, ...]]] = {
    "addressed": (
        "files.recipients:open_reader_with",
        "files.recipients:open_stream_with",
        "files.recipients:open_with",
        "security.sealed.addressed:opener_by",
        "security.sealed.addressed_layout:parse_addressed_header",
        "security.sealed.addressed_layout:read_addressed_header",
        "security.sealed.recipient_text:parse_identity_lines",
        "security.sealed.recipient_text:parse_key_lines",
        "security.sealed.recipient_text:text_of",
        "security.sealed.sealed_identity:SealedIdentity.of",
    ),
    "addresses": (
        "api.transport.addresses:Proxies.__init__",
        "api.transport.addresses:_parsed",
        "api.transport.addresses:client_of",
        "api.transport.addresses:grouped",
        "client.connections:checked_url",
        "security.addresses:is_loopback",
        "security.key_providers.aws_kms.place:KeyArn.of_answer",
        "security.key_providers.aws_kms.place:KmsPlace.__post_init__",
        "security.key_providers.aws_kms.place:check_address",
        "security.key_providers.vault.transport:Address.parse",
    ),
    "audit": (
        "security.audit.chain:parse",
        "security.audit.chain:Line.record",
        "security.audit.checkpoints:_read",
        "security.audit.search:_decoded",
        "security.audit.segments:forwards",
        "security.audit.segments:raw_backwards",
        "security.audit.verification:read_heads",
    ),
    "backup": (
        "security.backup.layout:decode_value",
        "security.backup.layout:read_start",
        "security.backup.opened:OpenedBackup._values",
        "security.backup.opened:open_backup",
    ),
    "certificates": (
        "api.transport.tls:_valid_until",
        "inventory.certificates:_of_file",
        "security.tls:certificates_in",
    ),
    "client_answers": (
        "client.keys:_version",
        "client.problems:problem_of",
        "client.retries:_retry_after",
        "client.steps:decoded",
    ),
    "columns": (
        "columns.coding:_named",
        "columns.coding:beginning",
        "columns.coding:decode",
        "columns.coding:decode_as_typed",
        "columns.coding:from_base64",
        "columns.plaintext:sealed_in",
        "legacy.columns:decode_old",
    ),
    "custody_answers": (
        "security.key_providers.aws_kms.answers:error_of",
        "security.key_providers.pkcs11.wrapping:unwrapped",
        "security.key_providers.vault.custodian:_ciphertext",
        "security.key_providers.vault.custodian:_plaintext",
        "security.key_providers.vault.custodian:_results",
        "security.key_providers.vault.custodian:_wrapped",
        "security.key_providers.vault.key_state:_parsed",
        "security.key_providers.vault.signing:_decoded",
        "security.key_providers.vault.signing:_signature",
        "security.key_providers.vault.transport:_document",
    ),
    "http_requests": (
        "api.http.requests:read_headers",
        "api.http.requests:with_bearer_as_api_key",
        "api.routing:RouteTable.find",
        "api.transport.heads:Framing.finish",
        "api.transport.heads:ReadBounds.take",
        "api.transport.heads:_Chunks.end",
        "api.transport.heads:check_line",
        "api.transport.protocol:HttpProtocol.data_received",
    ),
    "http_signatures": (
        "security.http_signatures.components:covered",
        "security.http_signatures.components:encoded",
        "security.http_signatures.content_digest:check_content_digest",
        "security.http_signatures.message_signature:parse_signatures",
        "security.http_signatures.plan_profile:parse_plan_signature",
        "security.http_signatures.structured_fields:canonical_base64",
        "security.http_signatures.structured_fields:parse_byte_sequences",
        "security.http_signatures.structured_fields:parse_inner_lists",
        "security.http_signatures.structured_fields:parse_items",
    ),
    "key_files": (
        "legacy.key:read_xor_key",
        "security.fips.installed:_described",
        "security.key_providers.master_key_file:MasterKeyFile.read",
    ),
    "key_material": (
        "integrations.key_material:_object",
        "integrations.key_material:rewrapped",
    ),
    "key_transport": (
        "security.sealed.key_transport:UnwrappingKey.unwrap",
        "security.sealed.key_transport:WrappingKey.from_file",
        "security.signatures.signing_key:SigningKey.from_any_pkcs8",
    ),
    "legacy_xor": ("legacy.cipher:_decoded", "legacy.cipher:XorOpener.open"),
    "names": (
        "security.byte_io.encodings:b64url_decode",
        "security.records.api_keys:parse",
        "security.records.credentials:check_name",
        "security.records.credentials:check_scopes",
        "security.records.file_names:check_name",
        "security.records.keys:parse_key_id",
        "security.records.signers:check_signer",
        "shapes.json_values:parse_timestamp",
    ),
    "pkcs11_uri": (
        "security.key_providers.pkcs11.pin:PinSource.__init__",
        "security.key_providers.pkcs11.uri:_decoded",
        "security.key_providers.pkcs11.uri:parse_uri",
    ),
    "recipients": (
        "security.byte_io.pem:pem_decode",
        "security.sealed.recipients:Recipient.from_bytes",
        "security.sealed.recipients:Recipient.from_pem",
        "security.sealed.recipients:RecipientKey.from_pem",
        "security.sealed.recipients:open_as_recipient",
    ),
    "sealed": (
        "security.sealed.layout:parse_header",
        "security.sealed.layout:read_header",
        "security.sealed.reader:SealedReader.__init__",
        "security.sealed.sealer:Sealer.open",
        "security.sealed.sealer:Sealer.open_stream",
        "security.sealed.sealer:Sealer.unwrap_data_key",
    ),
    "settings": (
        "config.document:read_document",
        "config:load_settings",
    ),
    "signatures": (
        "security.signatures.jwk:jwk_decode",
        "security.signatures.jwk:jwk_members",
        "security.signatures.schemes:_Ecdsa.load_material",
        "security.signatures.signature_file:parse_signature_file",
        "security.signatures.signing_key:SigningKey.from_der",
        "security.signatures.signing_key:SigningKey.from_pem",
        "security.signatures.verifying_key:VerifyingKey.from_der",
        "security.signatures.verifying_key:VerifyingKey.from_jwk",
        "security.signatures.verifying_key:VerifyingKey.from_pem",
    ),
    "store_rows": (
        "security.key_store.rows:credential_from_row",
        "security.key_store.rows:import_from_row",
        "security.key_store.rows:key_from_rows",
        "security.key_store.rows:signer_from_row",
    ),
    "strict_json": (
        "api.parsing.base64_text:base64_bytes",
        "api.parsing.query_string:_text",
        "api.parsing.query_string:query_decoder.<locals>.read",
        "api.parsing.strict_json:decoder.<locals>.read",
    ),
    "tensors": ("integrations.tensor_header:parse_tensor_header",),
    "vault_answers": ("security.key_providers.vault.messages:read_answer",),
}
"""The functions of each target, below ``mycelium_fractal_net``."""

NOT_FUZZED: Final[dict[str, str]] = {
    "api.service.counts:read_counts": "counts that workers of this service wrote",
    "bootstrap.custodians.local:LocalScheme.create": "a setting that has a pattern",
    "bootstrap.custodians.remote:RemoteScheme.open": "a setting that has a pattern",
    "bootstrap.custodians.remote:known_store_id": "a setting that has a pattern",
    "cli.commands.acknowledging:_date": "an option, by one call that refuses with ValueError",
    "config.notes:Notes.read": "notes that commands wrote, by one call that refuses",
    "doctor.posture.kept_secrets:_has_password": "a setting, by one call that refuses",
    "doctor.posture.transport:_rate_storage": "a setting, which the service opened before",
    "columns.source:last_day": "a date that an application's author wrote, by one call",
    "integrations.codecs:json_by": "a value that an authenticated message had in it",
    "integrations.pyarrow:KeyringKmsClient.unwrap_key": "by one call that validates",
    "inventory.transport:_groups_of": "a ClientHello that this process wrote",
    "security.audit.chain:mac_of": "a line that this process wrote",
    "security.audit.search:_encoded": "the names of folders, which have a pattern",
    "security.audit.verification:_Chain._begins": "a head whose MAC has a pattern",
    "security.backup.layout:binding_of": "a header whose id has a pattern",
    "security.fips.probes:_ecdsa": "a constant",
    "security.fips.probes:_hkdf": "a constant",
    "security.key_providers.aws_kms.carrier:Carrier._to": "the address that botocore made",
    "security.key_providers.imports:Imports._binding": "an id that has a pattern",
    "security.key_providers.local:_add_key": "a document that was read before",
    "security.key_providers.local:_decoded": "salt and sealed key, by one call that validates",
    "security.sealed.rsa_recipients:RsaRecipientKey.from_private_bytes": "what this store wrapped",
    "security.key_providers.pkcs11.signing:_template": "a reference that has a pattern",
}
"""What decodes and has no target, with the reason."""
