"""FIPS mode: an OpenSSL FIPS provider, installed in the home folder and proven in this process.

Nothing in this room imports ``cryptography`` when it is imported itself: the provider has to be
there first. :mod:`.installed` is the module's file and its configuration, :mod:`.process` sets it
up, and :mod:`.probes` proves that it is what answers.
"""
