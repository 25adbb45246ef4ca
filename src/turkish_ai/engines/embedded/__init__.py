"""The engine that runs inside the server: many adapters in one continuous batch, on this machine's processors.

How a request becomes text: `engine` takes it from the event loop, `residency` brings its adapter into memory,
`scheduler` decides when it joins the batch, `worker` runs one step after another in a thread of its own, `model`
computes a step, with `lora` adding each row's own adapter and `attention` reading each row's own KV memory; `sampler`
chooses tokens and `text` turns them into characters.
"""

from turkish_ai.engines.embedded.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
