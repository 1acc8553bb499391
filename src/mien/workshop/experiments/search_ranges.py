"""What a search may choose from: for each key of a training file an interval or a list of choices."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError, model_validator

from mien.errors import ConfigError
from mien.workshop.toml_sections import Section
from mien.workshop.training.config import TrainingConfig

if TYPE_CHECKING:
    from optuna.trial import Trial

SECTIONS = tuple(key for key in TrainingConfig.model_fields if key != "name")
FIXED = {
    "data.lists": "all trials see the same rows",
    "fit.selection": "it decides what the score is, and scores of different things cannot be compared",
}

RANGE_KEYS = {"low", "high", "log", "step", "choices"}


class Interval(Section):
    """Numbers from `low` to `high`, both included; whole ones if both are; evenly by their logarithm with `log`."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _check(self) -> Interval:
        if self.low > self.high:
            raise ValueError(f"low = {self.low} is above high = {self.high}: exchange them")
        if self.log and self.low <= 0:
            raise ValueError(f"low = {self.low} has no logarithm: give a low above 0, or leave log out")
        if self.step is not None:
            self._check_step(self.step)
        return self

    def _check_step(self, step: float) -> None:
        if self.log:
            raise ValueError("log and step exclude each other: leave one out")
        if step <= 0:
            raise ValueError(f"step = {step} does not lead from low to high: give one above 0")
        # Optuna would lower `high` to fit, with no more than a warning.
        count = (self.high - self.low) / step
        if abs(count - round(count)) > 1e-6:
            best = self.low + step * int(count)
            raise ValueError(f"steps of {step} from low = {self.low} miss high = {self.high}: try high = {best:g}")

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)

    @property
    def samples(self) -> dict[str, Any]:
        """The two ends, by what they are called in messages."""
        return {f"low = {self.low}": self.low, f"high = {self.high}": self.high}

    def suggest(self, trial: Trial, key: str) -> None:
        """Let the sampler choose."""
        if self.whole:
            trial.suggest_int(key, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        else:
            trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log)

    def value(self, chosen: Any) -> Any:
        """What a training file would hold for what was chosen."""
        # Steps of 0.1 add up to 0.30000000000000004, which nobody wants in a file.
        return round(chosen, 12) if self.step else chosen


class Choices(Section):
    """One of several values of any kind; a table gives each a name, otherwise its text is its name."""

    choices: list[Any] | dict[str, Any]

    @model_validator(mode="after")
    def _check(self) -> Choices:
        if not self.choices:
            raise ValueError("choices is empty: give at least one")
        if len(self.named) < len(self.choices):
            raise ValueError(f"choices has a value twice: {toml_value(self.choices)}")
        return self

    @property
    def named(self) -> dict[str, Any]:
        """The values by name, in the file's order."""
        if isinstance(self.choices, dict):
            return self.choices
        return {value if isinstance(value, str) else toml_value(value): value for value in self.choices}

    @property
    def samples(self) -> dict[str, Any]:
        """Every value, by what it is called in messages."""
        return {f"choice {name}": value for name, value in self.named.items()}

    def suggest(self, trial: Trial, key: str) -> None:
        """Let the sampler choose a name."""
        # By name, because Optuna stores plain values alone, no tables.
        trial.suggest_categorical(key, list(self.named))

    def value(self, chosen: Any) -> Any:
        """The value of a name."""
        return self.named[chosen]


Range = Interval | Choices
Ranges = dict[str, Range]


def parse_ranges(values: dict[str, Any]) -> Ranges:
    """Ranges by dotted key, of a table in which the keys may be dotted or nested.

    >>> parse_ranges({"optim": {"lr": {"low": 0.001, "high": 0.1, "log": True}}}).keys()
    dict_keys(['optim.lr'])

    Raises:
        ConfigError: no range, an unknown key, or a range that cannot be; the message names the key.
    """
    ranges: Ranges = {}
    for key, value in _flatten(values, ()):
        _check_key(key)
        form: type[Range] = Choices if "choices" in value else Interval
        try:
            ranges[key] = form.model_validate(value)
        except ValidationError as error:
            raise ConfigError(f"ranges.{key}: {_explain(error, form)}") from error
    if not ranges:
        raise ConfigError("[ranges] is empty: give at least one key a low and a high, or choices")
    # Shorter keys first: `nested` puts a longer one into the table that a shorter one chose.
    return dict(sorted(ranges.items(), key=lambda item: item[0].count(".")))


def nested(ranges: Ranges, chosen: dict[str, Any]) -> dict[str, Any]:
    """Sections of a training file with what was chosen; a longer key goes into what a shorter one chose.

    >>> ranges = parse_ranges({"model": {"choices": {"small": {"arch": "vgg"}}}, "fit.epochs": {"low": 1, "high": 9}})
    >>> nested(ranges, {"model": "small", "fit.epochs": 4})
    {'model': {'arch': 'vgg'}, 'fit': {'epochs': 4}}
    """
    values: dict[str, Any] = {}
    for key, bounds in ranges.items():
        *path, last = key.split(".")
        place = values
        for part in path:
            # A copy: the table may be one of the file's choices, which other trials share.
            place[part] = dict(place.get(part, {}))
            place = place[part]
        value = bounds.value(chosen[key])
        place[last] = dict(value) if isinstance(value, dict) else value
    return values


def _flatten(values: dict[str, Any], path: tuple[str, ...]) -> Iterable[tuple[str, dict[str, Any]]]:
    for name, value in values.items():
        key = ".".join((*path, name))
        if not isinstance(value, dict):
            raise ConfigError(
                f"ranges.{key}: expected a table with low and high, or with choices, not {toml_value(value)}"
            )
        # A key can have a range of its own and longer keys below it, such as model and model.options.depth.
        below = {name: item for name, item in value.items() if isinstance(item, dict) and name not in RANGE_KEYS}
        own = {name: item for name, item in value.items() if name not in below}
        if not value or own.keys() & RANGE_KEYS:
            yield key, own
            yield from _flatten(below, (*path, name))
        else:
            yield from _flatten(value, (*path, name))


def _check_key(key: str) -> None:
    section, *rest = key.split(".")
    if section not in SECTIONS:
        raise ConfigError(f"ranges.{key}: unknown section {section}: expected one of {', '.join(SECTIONS)}")
    fields = type(getattr(TrainingConfig(), section)).model_fields
    if rest and rest[0] not in fields:
        names = ", ".join(f"{section}.{name}" for name in fields)
        raise ConfigError(f"ranges.{key}: unknown key: expected one of {names}")
    if (len(rest) > 1 and rest[0] != "options") or len(rest) > 2:
        raise ConfigError(f"ranges.{key}: {'.'.join((section, *rest[:-1]))} has no keys of its own")
    if key in FIXED:
        raise ConfigError(f"ranges.{key} cannot be searched: {FIXED[key]}; set it in [base.{section}]")


def _explain(error: ValidationError, form: type[BaseModel]) -> str:
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"] if part not in ("int", "float"))
        if item["type"] == "value_error":
            lines.append(str(item["ctx"]["error"]))
        elif item["type"] == "extra_forbidden":
            lines.append(f"unknown key {name}: expected {', '.join(form.model_fields)}")
        elif item["type"] == "missing":
            lines.append(f"{name} is missing")
        else:
            lines.append(f"{name}: {item['msg']}, not {toml_value(item['input'])}")
    # pydantic reports `int | float` once for each type.
    return "; ".join(dict.fromkeys(lines))


def toml_value(value: Any) -> str:
    """One value on one line.

    >>> toml_value({"widths": [32, 64], "attention": "se", "lr": 1e-05, "gates": True})
    '{ widths = [32, 64], attention = "se", lr = 1e-05, gates = true }'
    """
    # Before the numbers: in Python a bool is one.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        # JSON's strings are TOML's but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def toml_document(values: dict[str, Any]) -> str:
    """A whole file: plain keys first, then each table under a heading, tables of tables under theirs."""
    return "\n".join(_lines(values, ())) + "\n"


def _lines(values: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    # Plain keys before any heading, or TOML would count them to the table above.
    lines = [f"{_key(key)} = {toml_value(value)}" for key, value in values.items() if not _is_section(value)]
    for key, value in values.items():
        heading = ".".join(map(_key, (*path, key)))
        if isinstance(value, dict) and _is_section(value):
            lines += ["", f"[{heading}]", *_lines(value, (*path, key))]
        elif _is_section(value):
            for item in value:
                lines += ["", f"[[{heading}]]", *_lines(item, (*path, key))]
    return lines


def _is_section(value: Any) -> bool:
    """Whether it gets a heading: a table, or a list of tables."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict)


def _key(key: str) -> str:
    bare = key and all(character.isascii() and (character.isalnum() or character in "-_") for character in key)
    return key if bare else json.dumps(key, ensure_ascii=False)
