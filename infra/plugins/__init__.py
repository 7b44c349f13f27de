"""Provider plugins: stand-ins for official ones where those cannot be downloaded."""
