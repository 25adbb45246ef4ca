"""For all tests: machines are shared and noisy, so no example of a property is judged by the clock."""

from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
