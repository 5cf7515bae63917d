"""Foreshock: recurring-issue pattern detection for customer support."""
