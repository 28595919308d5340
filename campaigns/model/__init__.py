"""Every interleaving of the code that rotates, revokes, seals and opens, over a modelled clock."""
