"""Put the software bill of materials into the wheel, in ``.dist-info/sboms`` (PEP 770)."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SbomHook(BuildHookInterface[Any]):
    """Writes it before a wheel is put together; an editable one has none."""

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write it into a folder of its own, from where the build takes it."""
        if self.target_name != "wheel" or version != "standard":
            return
        root = Path(self.root)
        spec = importlib.util.spec_from_file_location("sbom", root / "scripts" / "sbom.py")
        if spec is None or spec.loader is None:
            raise ImportError("scripts/sbom.py is missing")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, script.NAME)
        script.write(path, root)
        build_data["sbom_files"].append(str(path))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the folder away."""
        del version, build_data, artifact_path
        if self._folder is not None:
            self._folder.cleanup()
