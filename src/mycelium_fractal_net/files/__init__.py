"""Files and folders: sealed, opened and rewrapped, each whole under its name or not at all."""

from mycelium_fractal_net.files.migrating import commit_xor, migrate_xor, roll_back_xor
from mycelium_fractal_net.files.old_file import OLD_SUFFIX
from mycelium_fractal_net.files.single import open_file, rewrap_file, seal_file
from mycelium_fractal_net.files.tree import SEALED_SUFFIX, open_tree, rewrap_tree, seal_tree
from mycelium_fractal_net.files.walk import TreeReport

__all__ = [
    "OLD_SUFFIX",
    "SEALED_SUFFIX",
    "TreeReport",
    "commit_xor",
    "migrate_xor",
    "open_file",
    "open_tree",
    "rewrap_file",
    "rewrap_tree",
    "roll_back_xor",
    "seal_file",
    "seal_tree",
]
