"""Ten thousand processes that are killed while they change a store: ``make torture``.

Each is forked from this process, begins one operation and gets SIGKILL at a random moment of the
time that it usually takes. What it had said to be done by then must stay done: everything that
was sealed opens, one version of each key is the newest, the audit chain verifies, and nothing
half-written is left. :mod:`campaigns.faults` has each system call refused in turn instead.
"""
