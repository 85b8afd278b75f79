"""The views as SQL views of a Trino server, which BI tools ask.

measures.py ──▶ statement.py ──▶ sync.py ──▶ client.py ──▶ Trino
(a measure)     (a view, pure)   (which tables, when)
"""
