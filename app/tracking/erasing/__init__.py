"""Erasing: what rows of a subject or of an id were goes for good, what they counted stays as it was known then."""
