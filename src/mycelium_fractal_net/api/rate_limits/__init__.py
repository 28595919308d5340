"""How often a credential or an address may ask, and who is asked for it where."""
