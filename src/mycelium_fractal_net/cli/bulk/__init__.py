"""Many things at once: folders and columns, what of them failed, and that all of it is done."""
