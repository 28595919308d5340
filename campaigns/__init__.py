"""The security tests at full length, and the figures that are published of them.

A campaign is a folder here. `campaign.py` in it says what its parts are and how its section of a
page is written; `campaigns.frame` runs it, keeps what is done across restarts and writes the page.
"""
