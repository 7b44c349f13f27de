"""Where the parts come from: engine, plugins and images, on a network that reaches only package registries."""
