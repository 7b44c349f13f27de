"""Where and how: the program, its targets, plugins, supply and the command line."""
