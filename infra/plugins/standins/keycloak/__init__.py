"""The stand-in for pulumi-keycloak 6.13.0: a realm and what is in it, by Keycloak's admin REST API."""
