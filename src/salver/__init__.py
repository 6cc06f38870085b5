"""Salver serves trained models, from a file to production."""
