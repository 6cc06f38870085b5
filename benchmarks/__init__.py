"""Salver measured beside other servers. `make bench` runs it; docs/measured.md has the results and what they mean."""
