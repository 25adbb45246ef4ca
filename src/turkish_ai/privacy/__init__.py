"""Personal data: recognising it, so that it never lies where it should not."""
