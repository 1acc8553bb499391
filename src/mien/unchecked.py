"""What `mien.toml_sections` needs of pydantic where it is not installed: the same sections, without checks of ranges.

Unknown keys, missing keys and the sections' own validators are told as pydantic tells them; that a value is of its
type and within its limits is taken on trust. It is for machines that train what was checked on another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

ConfigDict = dict
_MISSING: Any = object()


class ValidationError(ValueError):
    """What is wrong with some values; `errors` tells it in pydantic's form."""

    def __init__(self, item: dict[str, Any]) -> None:
        super().__init__(f"{'.'.join(map(str, item['loc']))}: {item['msg']}")
        self.items = [item]

    def errors(self) -> list[dict[str, Any]]:
        """Each with `type`, `loc`, `msg`, `input`, and for the error of a validator `ctx`."""
        return self.items


class FieldInfo:
    """A key of a section: its annotation, and what it is where it is not given."""

    def __init__(self, default: Any = _MISSING, default_factory: Callable[[], Any] | None = None) -> None:
        self.default, self.default_factory, self.annotation = default, default_factory, Any

    def filled(self) -> Any:
        """The value of a key that is not given; `_MISSING` if it has to be."""
        return self.default_factory() if self.default_factory else self.default


def Field(  # noqa: N802
    default: Any = _MISSING, *, default_factory: Callable[[], Any] | None = None, **_: Any
) -> Any:
    """A key; its limits and its description are not kept."""
    return FieldInfo(_MISSING if default is ... else default, default_factory)


def model_validator(*, mode: str) -> Callable[[Any], Any]:
    """Mark a method to be run on the values before, or on the section after it is made."""

    def mark(method: Any) -> Any:
        getattr(method, "__func__", method).validates = mode
        return method

    return mark


class BaseModel:
    """A section: made of plain values, compared by them, and not changed later."""

    model_fields: ClassVar[dict[str, FieldInfo]] = {}
    model_config: ClassVar[dict[str, Any]] = {}
    _validators: ClassVar[dict[str, list[str]]] = {"before": [], "after": []}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        fields = {}
        for name, annotation in get_type_hints(cls, include_extras=True).items():
            if name.startswith("_") or name in BaseModel.__annotations__:
                continue
            given = cls.__dict__.get(name, cls.model_fields.get(name, _MISSING))
            fields[name] = given if isinstance(given, FieldInfo) else FieldInfo(given)
            fields[name].annotation = annotation
        cls.model_fields = fields
        own = {name: getattr(getattr(value, "__func__", value), "validates", None) for name, value in vars(cls).items()}
        cls._validators = {
            mode: [*names, *(name for name, mine in own.items() if mine == mode)]
            for mode, names in cls._validators.items()
        }

    def __init__(self, **values: Any) -> None:
        made = _make(type(self), values, ())
        self.__dict__.update(made.__dict__)

    @classmethod
    def model_validate(cls, values: Any) -> Self:
        """A section of plain values.

        Raises:
            ValidationError: an unknown or missing key, or what a validator found.
        """
        made: Self = _make(cls, values, ())
        return made

    def model_dump(self, *, mode: str = "python", exclude: set[str] | None = None) -> dict[str, Any]:
        """The plain values; with `mode="json"` those that JSON has."""
        return {name: _plain(value, mode) for name, value in self.__dict__.items() if name not in (exclude or ())}

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """The same with other values, which are not checked."""
        copy: Self = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **(update or {}))
        return copy

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a section is not changed: {name}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def _make(cls: Any, values: Any, place: tuple[Any, ...]) -> Any:
    if isinstance(values, cls):
        return values
    for name in cls._validators["before"]:
        values = getattr(cls, name)(values)
    if not isinstance(values, Mapping):
        raise _error("model_type", place, "Input should be a valid dictionary", values)
    unknown = [key for key in values if key not in cls.model_fields]
    if unknown:
        raise _error("extra_forbidden", (*place, unknown[0]), "Extra inputs are not permitted", values[unknown[0]])
    made = object.__new__(cls)
    for name, field in cls.model_fields.items():
        value = values[name] if name in values else field.filled()
        if value is _MISSING:
            raise _error("missing", (*place, name), "Field required", values)
        made.__dict__[name] = _fit(field.annotation, value, (*place, name)) if name in values else value
    for name in cls._validators["after"]:
        try:
            made = getattr(made, name)()
        except ValueError as error:
            raise ValidationError(
                {"type": "value_error", "loc": place, "msg": str(error), "input": values, "ctx": {"error": error}}
            ) from error
    return made


def _fit(annotation: Any, value: Any, place: tuple[Any, ...]) -> Any:
    """A value as the annotation has it: tables as sections, lists as tuples, text as paths, whole numbers as floats."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _fit(inner[0], value, place)
    if origin in (Union, UnionType):
        parts = [part for part in inner if part is not NoneType]
        row = isinstance(value, list | tuple)
        fitting = next((part for part in parts if (get_origin(part) is tuple) == row), parts[0])
        return None if value is None else _fit(fitting, value, place)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [inner[0]] * len(value) if inner[-1] is ... else inner
        return tuple(_fit(kind, item, (*place, at)) for at, (kind, item) in enumerate(zip(kinds, value, strict=False)))
    if origin is dict and isinstance(value, Mapping):
        return {key: _fit(inner[1], item, (*place, key)) for key, item in value.items()}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _make(annotation, value, place)
    if annotation is float and type(value) is int:
        return float(value)
    return Path(value) if annotation is Path else value


def _plain(value: Any, mode: str) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode=mode)
    if isinstance(value, Mapping):
        return {key: _plain(item, mode) for key, item in value.items()}
    if isinstance(value, list | tuple):
        kind = list if mode == "json" else type(value)
        return kind(_plain(item, mode) for item in value)
    return str(value) if mode == "json" and isinstance(value, Path) else value


def _error(kind: str, place: tuple[Any, ...], message: str, value: Any) -> ValidationError:
    return ValidationError({"type": kind, "loc": place, "msg": message, "input": value})
