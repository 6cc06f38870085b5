"""Tables as bodies: CSV, JSON lines, Arrow and Parquet, read and written part by part.

A format is one module of this package with `read(file, signature, rows)`, which yields parts of at most `rows` rows, and
`Writer`. One that needs a library imports it inside of them. `media.py` says which format a media type means.
"""
