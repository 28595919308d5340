"""The plan's interface of a key provider."""

from __future__ import annotations

from abc import ABC, abstractmethod


class KeyProvider(ABC):
    """Abstract base class for key providers."""

    @abstractmethod
    def get_key(self, key_id: str) -> bytes:
        """Retrieve a key by ID.

        A bare name gives the version that protects new data, a version id that version.
        Encryption and MAC keys are 32 bytes, signing keys their private encoding. Bytes that
        were handed out lie outside every count of uses.
        """

    @abstractmethod
    def generate_key(self, key_type: str) -> str:
        """Generate a new key, return key ID. Types: ``encryption``, ``signing``, ``mac``."""

    @abstractmethod
    def rotate_key(self, key_id: str) -> str:
        """Rotate a key, return new version ID, such as ``orders:v3``."""
