"""The HTTP surface: OpenAI-compatible, native, admin and health. Knows the assistant, nothing of how it answers."""
