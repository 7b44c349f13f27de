"""Stand-ins for official Pulumi plugins: the same schema, state and replace rules, for the types this project uses.

A stand-in is a table of :class:`~infra.plugins.standins.kinds.ResourceType` served by one generic provider
(:mod:`~infra.plugins.standins.core`). The official schema, kept beside it, decides which properties there are, which
are secret and which force a replacement.
"""
