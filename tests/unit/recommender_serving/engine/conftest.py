from hypothesis import settings

# A busy machine must not fail a test: examples are limited by number, not by time.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
