"""ONNX files that are whole: one whose weights lie in other files is refused, without the onnx package.

The sha256 of an artifact is that of its graph alone. ONNX lets a tensor name another file for its values (external
data), relative to the working folder when a graph is loaded from bytes; what such a graph answers is pinned by nothing.
"""

from __future__ import annotations

from functools import lru_cache

from mien.errors import ArtifactError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL, _TRAINING, _FUNCTION, _GRAPH, _NODE, _ATTRIBUTE, _SPARSE, _TENSOR = range(8)
_PARTS: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {},
}
"""Of each message of onnx.proto, the fields through which a tensor is reached."""

_TENSOR_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14
_OP_TYPE = 4
_CONTEXT = b"EPContext"
"""A node whose graph is compiled for one processor, as a rule into another file."""


# The last one is remembered: an artifact's graph is looked at when it is read, and again before it runs.
@lru_cache(maxsize=1)
def require_whole(graph: bytes) -> None:
    """Refuse a graph that would read other files.

    It is strict where readers of protobuf differ: any mention of another file counts, also one that is taken back.

    Raises:
        ArtifactError: naming the tensor, or saying that this is no ONNX file.
    """
    # A list rather than recursion: graphs nested by a hostile file would exhaust Python's stack.
    waiting = [(_MODEL, 0, len(graph))]
    while waiting:
        kind, start, end = waiting.pop()
        parts = _PARTS[kind]
        name, outside = b"", False
        for field, value, stop in _list_fields(graph, start, end):
            if stop and field in parts:
                waiting.append((parts[field], value, stop))
            elif kind == _TENSOR and field == _TENSOR_NAME:
                name = graph[value:stop]
            elif kind == _TENSOR and field in (_EXTERNAL_DATA, _DATA_LOCATION):
                outside = outside or bool(stop or value)
            elif kind == _NODE and field == _OP_TYPE and graph[value:stop] == _CONTEXT:
                raise ArtifactError("the graph is compiled for one processor (EPContext): export it as plain ONNX")
        if outside:
            shown = name[:60].decode("utf-8", "replace") or "without a name"
            raise ArtifactError(
                f"the graph keeps values of the tensor {shown!r} in another file (ONNX external data), which its "
                "sha256 does not cover: save the model as one file"
            )


def with_output(graph: bytes, name: str) -> bytes:
    """The same ONNX file with one more output: any tensor in it, whose type ONNX Runtime infers.

    A field of a message that comes twice is merged by every reader of protobuf, so a second `graph` that holds nothing
    but the output adds it to the first: no byte of the file changes.
    """
    # ModelProto.graph = 7, GraphProto.output = 12, ValueInfoProto.name = 1.
    return graph + _field(7, _field(12, _field(1, name.encode())))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _list_fields(data: bytes, start: int, end: int) -> list[tuple[int, int, int]]:
    """The fields of a protobuf message: its number with a value and 0, or with where its bytes start and stop."""
    fields = []
    place = start
    while place < end:
        # Nearly all numbers are one byte; a call for each would take most of the time.
        tag = data[place]
        if tag < 0x80:
            place += 1
        else:
            tag, place = _read_varint(data, place, end)
            # Readers keep 32 bits of a tag.
            tag &= 0xFFFFFFFF
        wire = tag & 7
        if wire in (_VARINT, _BYTES):
            if place < end and data[place] < 0x80:
                value, place = data[place], place + 1
            else:
                value, place = _read_varint(data, place, end)
            if wire == _VARINT:
                fields.append((tag >> 3, value, 0))
            else:
                fields.append((tag >> 3, place, place + value))
                place += value
        elif wire in (_FIXED32, _FIXED64):
            place += 4 if wire == _FIXED32 else 8
        else:
            # ONNX has no groups (wire types 3 and 4): a reader that skips one could hide a tensor in it.
            raise _foreign()
    # A field that reaches beyond its message: readers differ on what belongs to it.
    if place != end:
        raise _foreign()
    return fields


def _read_varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """A number of at most ten bytes, and the place after it."""
    value = shift = 0
    while place < end and shift < 70:
        value |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            return value, place + 1
        place, shift = place + 1, shift + 7
    raise _foreign()


def _foreign() -> ArtifactError:
    return ArtifactError(
        "cannot load the graph: no ONNX file, or one that is cut off or damaged; fetch or export it again"
    )
