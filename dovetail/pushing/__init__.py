"""Sends changed answers on: asks the running server for them, and delivers each change to a webhook or a topic."""
