"""What the layers share: declarations, measures, position and ledger, manifest, versions, tables, engine, settings."""
