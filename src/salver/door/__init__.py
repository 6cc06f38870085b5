"""Who is let in, to what, and how fast: keys, scopes, rates, and the list of who did what."""
