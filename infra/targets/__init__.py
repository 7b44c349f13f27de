"""Where a stack runs. Every target implements :class:`components.resources.target.Target`."""
