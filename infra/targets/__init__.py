"""Where a stack runs. Every target implements :class:`components.target.Target`."""
