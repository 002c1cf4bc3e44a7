"""Verdicts on claims, from records that are made up."""
