"""Torture: seeded random harm to a whole running stack, with every answer held against what was acknowledged."""
