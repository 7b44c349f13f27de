"""The stand-in for pulumi-docker 5.1.0: networks, volumes, images and containers, by docker-py."""
