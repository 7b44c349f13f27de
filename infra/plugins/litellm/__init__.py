"""A plugin of ours: LiteLLM's teams, budgets and models as Pulumi resources, by its admin API."""
