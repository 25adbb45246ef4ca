"""Which of the 22 sectors a Turkish question belongs to, or `general` when the router does not know."""
