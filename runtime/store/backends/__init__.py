"""Places of others for the encrypted document, one module each. What they need is imported where it is used."""
