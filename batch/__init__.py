"""The batch layer: the master dataset and the nightly recompute, which owns every record below the cut."""
