"""The custodian: verifies callers at the edge, keeps the ledger, writes the records."""
