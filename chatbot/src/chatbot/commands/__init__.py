"""The commands about tenants and who may ask: one file a noun. `cli.py` puts them together."""
