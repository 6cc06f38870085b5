"""Pages that show what the models do, made in a process of their own (`process.py`); the server says who asks for what."""
