"""Thrift's compact protocol without a schema: what is read is written back as it was, unknown fields included.

Source: doc/specs/thrift-compact-protocol.md of apache/thrift. Bytes that are encoded in the shortest form, as all
Thrift libraries do, come back byte for byte.
"""

from __future__ import annotations

import struct as binary
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

TRUE, FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(1, 14)
BOOL = TRUE
"""The kind of a boolean field, whatever its value: the header of the field alone says true or false."""
T = TypeVar("T")
_DEPTH = 64
"""Values nested deeper are refused, for Python's stack is finite; those of a Parquet footer are not."""


@dataclass(slots=True)
class Items:
    """A list or a set. Booleans are kept as their byte: the specification writes false as 0, the libraries as 2."""

    kind: int
    values: list[Value]


@dataclass(slots=True)
class Pairs:
    """A map, in the order of the bytes; an empty one has no kinds (0)."""

    key_kind: int
    value_kind: int
    pairs: list[tuple[Value, Value]]


@dataclass(slots=True)
class Struct:
    """The fields of a struct: number -> (kind, value), in the order of the bytes."""

    fields: dict[int, tuple[int, Value]]

    def __contains__(self, field: int) -> bool:
        return field in self.fields

    def get(self, field: int, kind: type[T]) -> T:
        """The value of a field; ValueError if it is missing or of another kind: the bytes are no such struct."""
        value = self.fields[field][1] if field in self.fields else None
        if not isinstance(value, kind):
            raise ValueError(f"field {field} is no {kind.__name__}")
        return value

    def structs(self, field: int) -> list[Struct]:
        """The value of a field that is a list of structs."""
        items = self.get(field, Items)
        if items.kind != STRUCT:
            raise ValueError(f"field {field} is no list of structs")
        return cast(list[Struct], items.values)

    def replace(self, field: int, value: Value) -> None:
        """Give a field that is there another value of its kind."""
        self.get(field, type(value))
        self.fields[field] = (self.fields[field][0], value)


Value: TypeAlias = bool | int | float | bytes | Items | Pairs | Struct


def read_struct(data: bytes) -> tuple[Struct, int]:
    """The struct that `data` begins with, and the number of its bytes; ValueError if there is none."""
    reader = _Reader(data)
    return reader.struct(0), reader.at


def write_struct(struct: Struct) -> bytes:
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("it ends within a value")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = shift = 0
        while (byte := self.take(1)[0]) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("an integer has more than 64 bits")
        return value | byte << shift

    def zigzag(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def struct(self, depth: int) -> Struct:
        fields: dict[int, tuple[int, Value]] = {}
        number = 0
        while header := self.take(1)[0]:
            delta, kind = header >> 4, header & 15
            number = number + delta if delta else self.zigzag()
            if number in fields:
                raise ValueError(f"field {number} is there twice")
            fields[number] = (BOOL, kind == TRUE) if kind in (TRUE, FALSE) else (kind, self.value(kind, depth + 1))
        return Struct(fields)

    def value(self, kind: int, depth: int) -> Value:
        if depth > _DEPTH:
            raise ValueError("it is nested too deep")
        if kind in (I16, I32, I64):
            return self.zigzag()
        if kind == BINARY:
            return self.take(self.varint())
        if kind == STRUCT:
            return self.struct(depth)
        if kind in (LIST, SET):
            header = self.take(1)[0]
            size, item = header >> 4 if header < 0xF0 else self.varint(), header & 15
            return Items(item, [self.value(item, depth + 1) for _ in range(size)])
        if kind == MAP:
            return self.pairs(depth)
        if kind == DOUBLE:
            return float(binary.unpack("<d", self.take(8))[0])
        if kind == UUID:
            return self.take(16)
        if kind in (I8, TRUE, FALSE):  # the booleans are elements here, see Items
            return int.from_bytes(self.take(1), "little", signed=True)
        raise ValueError(f"there is no type {kind}")

    def pairs(self, depth: int) -> Pairs:
        if not (size := self.varint()):
            return Pairs(0, 0, [])
        key, item, depth = (kinds := self.take(1)[0]) >> 4, kinds & 15, depth + 1
        return Pairs(key, item, [(self.value(key, depth), self.value(item, depth)) for _ in range(size)])


def _write_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _write_zigzag(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 ^ value >> 63)


def _write_struct(out: bytearray, struct: Struct) -> None:
    last = 0
    for number, (kind, value) in struct.fields.items():
        code = kind if kind != BOOL else TRUE if value else FALSE
        if 0 < number - last < 16:
            out.append((number - last) << 4 | code)
        else:
            out.append(code)
            _write_zigzag(out, number)
        last = number
        if kind != BOOL:
            _write_value(out, kind, value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Value) -> None:
    if isinstance(value, Struct):
        _write_struct(out, value)
    elif isinstance(value, Items):
        size = len(value.values)
        out.append(min(size, 15) << 4 | value.kind)
        if size >= 15:
            _write_varint(out, size)
        for item in value.values:
            _write_value(out, value.kind, item)
    elif isinstance(value, Pairs):
        _write_varint(out, len(value.pairs))
        if value.pairs:
            out.append(value.key_kind << 4 | value.value_kind)
        for key, item in value.pairs:
            _write_value(out, value.key_kind, key)
            _write_value(out, value.value_kind, item)
    elif isinstance(value, bytes):
        if kind == BINARY:
            _write_varint(out, len(value))
        out += value
    elif isinstance(value, float):
        out += binary.pack("<d", value)
    elif kind in (I8, TRUE, FALSE):
        out += value.to_bytes(1, "little", signed=True)
    else:
        _write_zigzag(out, value)
