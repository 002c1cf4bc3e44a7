"""The generated pages of the documentation: one for every method, task and command."""
