"""Files and folders: sealed, opened and rewrapped, each whole under its name or not at all."""

from mycelium_fractal_net.files.objects import rewrap_objects
from mycelium_fractal_net.files.rewrapping import heads, rewrap_paths
from mycelium_fractal_net.files.single import open_file, rewrap_file, seal_file
from mycelium_fractal_net.files.tree import open_tree, seal_tree
from mycelium_fractal_net.files.walk import SEALED_SUFFIX, FileReport

__all__ = [
    "SEALED_SUFFIX",
    "FileReport",
    "heads",
    "open_file",
    "open_tree",
    "rewrap_file",
    "rewrap_objects",
    "rewrap_paths",
    "seal_file",
    "seal_tree",
]
