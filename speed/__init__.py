"""The speed layer: the continuous fold of the log, which owns every record from the cut on."""
