"""Where the parts come from: the engine, its plugins and the images, on a network that reaches only package registries."""
