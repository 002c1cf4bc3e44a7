"""Laws of the code itself: lengths, imports, words."""
