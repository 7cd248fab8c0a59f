"""Linker of compiled BPF objects into a program that a Solana validator loads.

The compiler writes relocatable ELF objects; the loader requires one SBPF v0 shared object: code
and constants in one read-only image, every reference resolved, and relocations only for calls
into the runtime ("syscalls"), which the loader replaces by a hash of the name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from localnet.program import elf
from localnet.program.object_file import LinkError, ObjectFile, Symbol
from localnet.program.opcodes import INSTRUCTION_SIZE, check_instructions
from localnet.program.shared_object import HEADERS_SIZE, Image, shared_object_bytes

SYSCALLS = frozenset(
    {
        "abort",
        "sol_create_program_address",
        "sol_get_clock_sysvar",
        "sol_invoke_signed_c",
        "sol_log_",
        "sol_log_data",
        "sol_log_pubkey",
        "sol_set_return_data",
        "sol_try_find_program_address",
    }
)

_Places = dict[tuple[str, int], int]


def _place_sections(objects: Sequence[ObjectFile]) -> tuple[Image, _Places]:
    """Concatenate the objects' code and constants; return the position of each section."""
    image = Image(start=HEADERS_SIZE)
    offsets: dict[tuple[str, int], tuple[bool, int]] = {}
    for item in objects:
        for index, section in enumerate(item.sections):
            if not section.flags & elf.SHF_ALLOC or section.name == ".eh_frame" or not section.data:
                continue
            if not section.is_code and not section.is_constant:
                raise LinkError(f"{item.name}: section {section.name} is neither code nor constant")
            part = image.code if section.is_code else image.constants
            part.extend(bytes(elf.align(len(part), max(section.alignment, 8)) - len(part)))
            offsets[item.name, index] = (section.is_code, len(part))
            part.extend(section.data)
    places = {
        key: (image.start if is_code else image.constants_start) + offset
        for key, (is_code, offset) in offsets.items()
    }
    return image, places


def _global_addresses(objects: Iterable[ObjectFile], places: _Places) -> dict[str, int]:
    addresses: dict[str, int] = {}
    for item in objects:
        for symbol in item.symbols:
            place = places.get((item.name, symbol.section))
            if not symbol.is_global or place is None:
                continue
            if symbol.name in addresses:
                raise LinkError(f"{item.name}: {symbol.name} is defined twice")
            addresses[symbol.name] = place + symbol.value
    return addresses


def _resolve(
    item: ObjectFile, symbol: Symbol, places: _Places, addresses: dict[str, int]
) -> int | None:
    """Return the symbol's position in the output, or None for one that is not defined."""
    if symbol.section == elf.SHN_UNDEF:
        return addresses.get(symbol.name)
    place = places.get((item.name, symbol.section))
    if place is None:
        raise LinkError(f"{item.name}: {symbol.name or 'a symbol'} is in a dropped section")
    return place + symbol.value


def _relocate_call(
    image: Image, item: ObjectFile, symbol: Symbol, position: int, target: int | None
) -> None:
    if target is None:
        name = "abort" if symbol.name == "__bpf_trap" else symbol.name
        if name not in SYSCALLS:
            raise LinkError(f"{item.name}: {symbol.name} is neither defined nor a syscall")
        image.patch(position + 4, struct.pack("<i", -1))
        image.syscall_sites.append((position, name))
        return
    (addend,) = struct.unpack("<i", image.read(position + 4, 4))
    target += (addend + 1) * INSTRUCTION_SIZE
    distance = (target - position) // INSTRUCTION_SIZE - 1
    image.patch(position + 4, struct.pack("<i", distance))


def _relocate_load(image: Image, position: int, target: int) -> None:
    low = struct.unpack("<I", image.read(position + 4, 4))[0]
    high = struct.unpack("<I", image.read(position + 12, 4))[0]
    address = elf.IMAGE_BASE + target + (high << 32 | low)
    image.patch(position + 4, struct.pack("<I", address & 0xFFFFFFFF))
    image.patch(position + 12, struct.pack("<I", address >> 32))


def _relocate_pointer(image: Image, position: int, target: int) -> None:
    (addend,) = struct.unpack("<Q", image.read(position, 8))
    image.patch(position, struct.pack("<Q", elf.IMAGE_BASE + target + addend))


def _relocate(
    image: Image, objects: Iterable[ObjectFile], places: _Places, addresses: dict[str, int]
) -> None:
    for item in objects:
        for relocation in item.relocations:
            place = places.get((item.name, relocation.section))
            if place is None:
                continue
            position = place + relocation.offset
            symbol = item.symbols[relocation.symbol]
            target = _resolve(item, symbol, places, addresses)
            if relocation.kind == elf.R_BPF_64_32:
                _relocate_call(image, item, symbol, position, target)
            elif target is None:
                raise LinkError(f"{item.name}: {symbol.name} is not defined")
            elif relocation.kind == elf.R_BPF_64_64:
                _relocate_load(image, position, target)
            elif relocation.kind == elf.R_BPF_64_ABS64:
                _relocate_pointer(image, position, target)
            else:
                raise LinkError(f"{item.name}: unknown relocation type {relocation.kind}")


def link(objects: Sequence[ObjectFile], entry: str = "entrypoint") -> bytes:
    """Link the objects into one program whose entry point is the function ``entry``.

    Raises:
        LinkError: a missing or doubly defined symbol, writable data, an unknown relocation, or
            an instruction that SBPF v0 lacks.
    """
    image, places = _place_sections(objects)
    addresses = _global_addresses(objects, places)
    _relocate(image, objects, places, addresses)
    check_instructions(bytes(image.code))
    if entry not in addresses:
        raise LinkError(f"no object defines {entry}")
    return shared_object_bytes(image, addresses[entry])
