"""Where the settings of a transformers model come from: a config file, or what is written down of well-known checkpoints.

>>> settings_of("bert-base-uncased")
('bert', {'architectures': ['BertForMaskedLM']})
>>> settings_of("openai-community/gpt2-medium")[1]["n_layer"]
24
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from fxcount.adapters.checkpoints import CHECKPOINTS
from fxcount.errors import InputError, first_line

__all__ = ["settings_of"]

_OWNERS = ("google-bert", "openai-community", "FacebookAI", "google-t5", "distilbert", "albert")
"""Owners under which checkpoints that once had none are found today."""
_TUNED = (("-Instruct", ""), ("-instruct", ""), ("-it", ""), ("-chat-hf", "-hf"), ("-chat", "-base"), ("-deduped", ""))
"""How the name of a checkpoint that was trained further, with the same config, tells it from the one it began from."""


def settings_of(name: str) -> tuple[str, dict[str, Any]]:
    """Model type and settings of a config file, a well-known checkpoint, or of a model type itself.

    A checkpoint whose config lies in the cache of huggingface_hub is known as well.

    Raises :class:`~fxcount.errors.InputError` for a file that is no config, and for a checkpoint that is not known.
    """
    if name.endswith(".json"):
        return _read(name)
    owner, _, rest = name.rpartition("/")
    known = _known(rest if owner in _OWNERS else name)
    if known:
        kind, settings = CHECKPOINTS[known]
        return kind, dict(settings)
    if owner:
        cached = _cached(name)
        if cached:
            return _read(cached)
        close = get_close_matches(name, CHECKPOINTS, 1)
        near = f", or the nearest that is, hf:{close[0]}" if close else ""
        raise InputError(
            f"the checkpoint {name!r} is not among those whose config is known without network",
            hint=f"download its config.json and give hf:path/to/config.json{near}",
        )
    return name, {}


def _known(name: str) -> str:
    """The checkpoint whose config a name has; "" if none is written down.

    >>> _known("meta-llama/Llama-3.1-8B-Instruct"), _known("mistralai/Mistral-7B-Instruct-v0.3"), _known("Qwen/QwQ")
    ('meta-llama/Llama-3.1-8B', 'mistralai/Mistral-7B-v0.3', '')
    """
    begun_from = [name.replace(tuned, untuned) for tuned, untuned in _TUNED if tuned in name]
    return next((n for n in (name, *begun_from) if n in CHECKPOINTS), "")


def _cached(name: str) -> str:
    """The path of a checkpoint's config that was downloaded before; "" if it was not. Nothing is downloaded."""
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(name, "config.json")
    except (ImportError, ValueError, OSError):  # not installed; no name of a repository; no cache
        return ""
    return found if isinstance(found, str) else ""


def _read(path: str) -> tuple[str, dict[str, Any]]:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the config {path!r} ({first_line(error)})", hint="give a config.json") from error
    kind = settings.pop("model_type", None) if isinstance(settings, dict) else None
    if not isinstance(kind, str):
        raise InputError(f"the config {path!r} names no model_type", hint="give a config.json of transformers")
    return kind, settings
