"""What goes over the wire between the gateway's parts: headers, paths, and what stands in for a key."""

from __future__ import annotations

KEEP_ALIVE_S = 120
"""How long our servers keep a connection that nobody uses. Traefik keeps one for 90 s (Go's ``IdleConnTimeout``), our
clients for less: the caller is to be the one who closes, or its next request may meet a connection that is just ending
and fail, for what has a body is not sent twice."""
EGRESS_PLACEHOLDER = "praxis-egress"
"""What LiteLLM holds in place of every provider's key. The egress takes it off; it opens nothing."""

CONSOLE_FORMS = ("make-key", "revoke-key", "enroll", "revoke-enrolment")
"""What the page ``/me`` can do for whoever has signed in: the edge lets these through, the custodian does them."""
CONSOLE_TOKEN_HEADER = "x-auth-request-access-token"  # noqa: S105 - a header's name
"""Where the sign-in (oauth2-proxy) puts the access token of whoever has signed in; no console gets it."""
CALL_HEADER = "x-litellm-call-id"
"""LiteLLM writes it into its own row of the request's spend: the trace, by which that row is found again. LiteLLM hands
it on like every such header; the egress takes it off."""
TICKET_HEADER = "x-praxis-ticket"
"""Stands on a request to a provider for the admitted record that it belongs to."""

ENROLMENT_PREFIX = "/e/[A-Za-z0-9_-]{43}"
"""How paths begin that are asked for by an enrolment (a regular expression): its id, 256 random bits in base64url."""

ENROLMENT = "enrolment"
"""The kind of credential of requests for which an enrolment and the caller's own account stand."""

PROFILE_PATH = "/anthropic-profile/api/oauth/profile"
"""Where the egress passes the custodian's question on, whose a token of Anthropic's is."""

COUNT_PATH = "/v1/messages/count_tokens"
"""Where Anthropic's dialect asks for the size of a request, here as at the provider. It costs nothing."""

RESPONSES_PATH = "/v1/responses"
"""Where OpenAI's Responses API is asked."""

GEMINI_PREFIX = "/v1beta/models/"
"""How the paths begin by which Gemini's API asks a model, whose name follows."""
GEMINI_METHODS = ("generateContent", "streamGenerateContent", "countTokens")
"""What Gemini's API does with a model: the end of its path, after a colon."""
MODEL_NAME = "[A-Za-z0-9][A-Za-z0-9._:/-]{0,100}"
"""A model's name in a path (a regular expression): any that a stack file can give."""
