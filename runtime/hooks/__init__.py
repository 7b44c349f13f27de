"""What LiteLLM lacks, around its application in its own process: guards, records, telemetry, dialects.

Pure ASGI: the request is guarded as the bytes that the client sent, and the answer is counted as the bytes that the
client gets, in every dialect and in streams alike; nothing depends on LiteLLM's internal callbacks.
"""
