"""Fuzzers of everything that parses bytes: one file for each, its corpus in corpus/.

    python -m fuzz sealed -max_total_time=60 fuzz/corpus/sealed

Each target has ``READERS``, which raise only errors of ours where there is no finding;
``one_input``, of whose bytes the first chooses the reader; and ``seeds()``, a well-formed input
for every reader.
"""
