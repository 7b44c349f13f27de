"""Reconciliation: a day of the ledger against LiteLLM's spend and the trace store. Each look is a module; comparison
and output are pure."""
