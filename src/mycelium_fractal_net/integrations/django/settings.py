"""The setting ``MFN``: which keyring the encrypted fields of this site use.

    MFN = {"HOME": "/var/lib/site/keys"}        # or "CONFIG": a file, or "STORE": a URL
    MFN = {"KEYRING": "site.keys.open_keyring"}  # what opens it, or its dotted path

Without it the keyring is that of the configuration, as ``mfn`` itself finds it. It is opened when
the first value is stored, opened or searched for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import conf
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from mycelium_fractal_net.bootstrap import open_keyring
from mycelium_fractal_net.config import user_variable
from mycelium_fractal_net.integrations import application
from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring

_NAME: Final = "MFN"
_OPENED_WITH: Final = {"CONFIG": "config", "STORE": "store", "HOME": "home"}


def install() -> None:
    """Have the encrypted fields look here, unless something else was said."""
    application.by_default(open_by_settings)
    setting_changed.connect(_changed, dispatch_uid=__name__)


def open_by_settings() -> Keyring:
    """The keyring that ``MFN`` names. Raises :class:`ConfigurationError` for what it misspells.

    In a program that is no site, and has this imported, it is that of the configuration.
    """
    if not conf.settings.configured and user_variable(conf.ENVIRONMENT_VARIABLE) is None:
        return open_keyring()
    chosen = dict(getattr(conf.settings, _NAME, None) or {})
    unknown = sorted(map(repr, chosen.keys() - _OPENED_WITH.keys() - {"KEYRING"}))
    if unknown:
        raise ConfigurationError(f"the setting {_NAME} has no {', '.join(unknown)}")
    opens = chosen.pop("KEYRING", None)
    if opens is None:
        return open_keyring(**{_OPENED_WITH[name]: value for name, value in chosen.items()})
    if chosen:
        raise ConfigurationError(f"the setting {_NAME} has KEYRING or the rest, not both")
    try:
        found: Keyring = (import_string(opens) if isinstance(opens, str) else opens)()
    except ImportError:
        raise ConfigurationError(f"what {_NAME}['KEYRING'] names cannot be imported") from None
    return found


def _changed(*, setting: str, **_: Any) -> None:
    """A test has overridden the setting, or ended doing so."""
    if setting == _NAME:
        application.configure(None)
