"""Bytes on their way: whole blocks through any file object, buffers, writing in a thread beside."""
