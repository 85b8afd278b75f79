"""The serving layer: merges the states of batch and speed when asked. Never imports pyspark."""
