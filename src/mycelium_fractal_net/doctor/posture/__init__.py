"""What a reviewer would say of a deployment, after OWASP ASVS 5.0, by area: one file each.

docs/posture.md lists what is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.posture.audit import audit_posture
from mycelium_fractal_net.doctor.posture.authorization import authorization_findings
from mycelium_fractal_net.doctor.posture.configuration import configuration_findings
from mycelium_fractal_net.doctor.posture.custodian import custodian_posture
from mycelium_fractal_net.doctor.posture.kept_secrets import (
    configuration_file_findings,
    secret_findings,
)
from mycelium_fractal_net.doctor.posture.key_store import key_store_findings
from mycelium_fractal_net.doctor.posture.keys import key_findings
from mycelium_fractal_net.doctor.posture.machine import machine_findings
from mycelium_fractal_net.doctor.posture.processes import process_findings
from mycelium_fractal_net.doctor.posture.requests import request_findings
from mycelium_fractal_net.doctor.posture.surroundings import look_around
from mycelium_fractal_net.doctor.posture.transport import transport_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.doctor.findings import Examined, Finding

_OF_SETTINGS: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (
    configuration_findings,
    custodian_posture,
    transport_findings,
    request_findings,
    secret_findings,
    audit_posture,
)
STORE_POSTURE: Final[tuple[Callable[[Examined], Iterator[Finding]], ...]] = (
    key_store_findings,
    authorization_findings,
    key_findings,
)
"""What a store that opened is looked at for."""


def posture_findings(settings: Settings, configuration: Path | None) -> Iterator[Finding]:
    """What the settings and this machine are looked at for, whether the store opens or not.

    ``configuration`` is the file that the settings were read from, where it is no shipped one.
    """
    for check in _OF_SETTINGS:
        yield from check(settings)
    if configuration is not None:
        yield from configuration_file_findings(configuration)
    around = look_around(settings.audit_folder)
    yield from process_findings(around)
    yield from machine_findings(around)
