"""Inspection of environments, data rows and verifiers, from outside of what is inspected."""
