"""The stand-in for pulumi-docker 5.1.0: networks, volumes and containers, by docker-py."""
