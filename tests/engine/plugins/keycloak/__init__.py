"""Tests of the stand-in for pulumi-keycloak. A package, so that its Keycloak ends with its last test."""
