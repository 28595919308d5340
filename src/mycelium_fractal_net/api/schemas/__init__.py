"""What the service takes and answers, as pydantic models; the OpenAPI document shows them."""

from __future__ import annotations

from mycelium_fractal_net.api.schemas.audit import AuditQuery, AuditRecords
from mycelium_fractal_net.api.schemas.base import BatchError, Fault, Model, Problem
from mycelium_fractal_net.api.schemas.batch import (
    DecryptBatch,
    DecryptBatchAnswer,
    EncryptBatch,
    EncryptBatchAnswer,
    RewrapBatch,
    SignBatch,
    SignBatchAnswer,
    VerifyBatch,
    VerifyBatchAnswer,
)
from mycelium_fractal_net.api.schemas.credentials import (
    CreateCredentialRequest,
    CredentialAnswer,
    CredentialList,
    NewCredential,
    RotateCredentialRequest,
)
from mycelium_fractal_net.api.schemas.crypto import (
    DataKeyRequest,
    DataKeyResponse,
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
    MacRequest,
    MacResponse,
    MacVerifyRequest,
    RewrapRequest,
    SignRequest,
    SignResponse,
    VerifyRequest,
    VerifyResponse,
)
from mycelium_fractal_net.api.schemas.health import Live, Ready
from mycelium_fractal_net.api.schemas.keys import (
    ChangeKeyRequest,
    CreateKeyRequest,
    JwkSet,
    KeyAnswer,
    KeyList,
    PublicKey,
    RotateRequest,
    StateRequest,
)
from mycelium_fractal_net.api.schemas.leases import (
    DataKeyReport,
    DataKeyReportAnswer,
    DataKeyUse,
)
from mycelium_fractal_net.api.schemas.retention import (
    CleanupAnswer,
    CleanupRequest,
    UsageAnswer,
)
from mycelium_fractal_net.api.schemas.signers import (
    AddSignerRequest,
    SignerAnswer,
    SignerList,
)

__all__ = [
    "AddSignerRequest",
    "AuditQuery",
    "AuditRecords",
    "BatchError",
    "ChangeKeyRequest",
    "CleanupAnswer",
    "CleanupRequest",
    "CreateCredentialRequest",
    "CreateKeyRequest",
    "CredentialAnswer",
    "CredentialList",
    "DataKeyReport",
    "DataKeyReportAnswer",
    "DataKeyRequest",
    "DataKeyResponse",
    "DataKeyUse",
    "DecryptBatch",
    "DecryptBatchAnswer",
    "DecryptRequest",
    "DecryptResponse",
    "EncryptBatch",
    "EncryptBatchAnswer",
    "EncryptRequest",
    "EncryptResponse",
    "Fault",
    "JwkSet",
    "KeyAnswer",
    "KeyList",
    "Live",
    "MacRequest",
    "MacResponse",
    "MacVerifyRequest",
    "Model",
    "NewCredential",
    "Problem",
    "PublicKey",
    "Ready",
    "RewrapBatch",
    "RewrapRequest",
    "RotateCredentialRequest",
    "RotateRequest",
    "SignBatch",
    "SignBatchAnswer",
    "SignRequest",
    "SignResponse",
    "SignerAnswer",
    "SignerList",
    "StateRequest",
    "UsageAnswer",
    "VerifyBatch",
    "VerifyBatchAnswer",
    "VerifyRequest",
    "VerifyResponse",
]
