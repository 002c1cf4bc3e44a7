"""Claims of papers as data, and verdicts on them as pure functions of records."""
