"""Small model files, written from their equations."""

from __future__ import annotations

from ckinetics.modeling import Model, read_model


def model_text(
    parameters: dict[str, tuple[float, str]],
    states: dict[str, tuple[str, str, str]],
    outputs: dict[str, tuple[str, str]],
    *,
    transforms: dict[str, str] | None = None,
    more: str = "",
) -> str:
    """Return a file: parameters (value, unit), states (initial, rate, unit), outputs (expression, unit); one phase."""
    lines = ['title = "a small model"', 'time_unit = "day"', "[reference]", 'text = "none"', 'doi = ""']
    lines += ["[[verified]]", 'what = "the equations"', 'against = "by hand"']
    for name, (value, unit) in parameters.items():
        transform = (transforms or {}).get(name, "log")
        low = {"log": value / 1000, "logit": 0.0, "none": value - 1000}[transform]
        high = 1.0 if transform == "logit" else value + 1000
        lines += [f"[parameters.{name}]", f"value = {value!r}", f'unit = "{unit}"', f'label = "{name}"']
        lines += [f'transform = "{transform}"', f"bounds = [{low!r}, {high!r}]", 'trust = "D"']
    for name, (initial, _, unit) in states.items():
        lines += [f"[states.{name}]", f'initial = "{initial}"', f'unit = "{unit}"']
    lines += ["[[phases]]", 'name = "all"', "[phases.equations]"]
    lines += [f'{name} = "{rate}"' for name, (_, rate, _) in states.items()]
    for name, (expression, unit) in outputs.items():
        lines += [f"[outputs.{name}]", f'unit = "{unit}"', f'expression = "{expression}"']
    return "\n".join(lines) + "\n" + more


def small_model(*tables: dict, **options) -> Model:
    return read_model(model_text(*tables, **options), name="small", file="small.toml")
