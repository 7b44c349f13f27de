"""What runs inside the gateway: the custodian, the hooks in LiteLLM, the guards, the secrets agent.

Two modules are doors for the operator's side: :mod:`runtime.contract` (the model that both sides share)
and :mod:`runtime.store` (the secret store). Everything else is private to this package.
"""
