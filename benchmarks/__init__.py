"""Side by side in one run: this package beside its parts and its peers. See __main__.py."""
