"""Master keys and signing keys on an HSM."""
from mycelium_fractal_net.security.key_providers.pkcs11.custodian import PKCS11Custodian
from mycelium_fractal_net.security.key_providers.pkcs11.uri import parse_uri
__all__=["PKCS11Custodian","parse_uri"]
