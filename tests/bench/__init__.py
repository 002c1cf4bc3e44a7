"""Laws of the harness."""
