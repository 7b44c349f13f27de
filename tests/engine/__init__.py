"""Tests of the engine, its plugins and the images, with real containers."""
