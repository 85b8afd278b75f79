"""Feeds the log from what is not Kafka: each row once, however often the feeder dies."""
