"""Front ends: what turns a user's text or SymPy objects into a `Program`."""
