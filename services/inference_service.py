"""Thin entry for operators: `uvicorn services.inference_service:app`. The code lives in `turkish_ai.app`."""

from turkish_ai.app import create_app
from turkish_ai.settings import load_settings

app = create_app(load_settings())
