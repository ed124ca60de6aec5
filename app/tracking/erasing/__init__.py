"""Erasing: what a subject's rows were goes for good, what they counted stays as it was known then."""
