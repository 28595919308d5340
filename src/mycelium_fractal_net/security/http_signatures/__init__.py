"""Signatures of HTTP requests and answers: RFC 9421 and the plan's profile.

Pure: no web framework, no I/O, no clock. Algorithms come as key objects, which the policy hands
out.
"""
