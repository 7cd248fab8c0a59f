"""Links compiled BPF objects into a program that a Solana validator loads.

The compiler leaves relocatable ELF objects; the loader wants one shared object of the SBPF v0 kind:
code and constants in one read-only image at the address ``0x1_0000_0000``, every reference
resolved, and a relocation kept only for calls into the runtime ("syscalls"), which the loader fills
in with a hash of the name.

Rules for the output are those of the loader's strict checks: sections in file order with
``sh_addr == sh_offset``, tables aligned to eight bytes, one ``.text``, the entry point inside it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

IMAGE_BASE = 0x1_0000_0000
INSTRUCTION_SIZE = 8

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

_MACHINE_BPF = 247
_MACHINE_SBPF = 263
_ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQ")
_DYNAMIC = struct.Struct("<qQ")

_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_REL, _SHT_NOBITS = 1, 2, 3, 9, 8
_SHT_DYNAMIC, _SHT_DYNSYM = 6, 11
_SHF_WRITE, _SHF_ALLOC, _SHF_EXEC = 1, 2, 4
_SHN_UNDEF = 0
_STT_SECTION = 3
_STB_LOCAL, _STB_GLOBAL = 0, 1

_R_BPF_64_64 = 1  # the two-slot load of a 64-bit address
_R_BPF_64_ABS64 = 2  # a pointer among the constants
_R_BPF_64_32 = 10  # the target of a call

_DT_NULL, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT = 0, 5, 6, 10, 11
_DT_REL, _DT_RELSZ, _DT_RELENT = 17, 18, 19

_OP_LOAD_64 = 0x18
_OP_CALL = 0x85
_OP_EXIT = 0x95
_ALU_OPERATIONS = range(0x00, 0xE0, 0x10)
_JUMP_OPERATIONS = tuple(code for code in range(0x00, 0xE0, 0x10) if code not in (0x80, 0x90))


def _known_opcodes() -> frozenset[int]:
    """The instructions of SBPF v0, without calls through a register, which we do not emit."""
    arithmetic = {
        operation | source | width
        for operation in _ALU_OPERATIONS
        for source in (0x00, 0x08)
        for width in (0x04, 0x07)
        if not (operation == 0x80 and source == 0x08)  # negation has one operand
        if not (operation == 0xD0 and width == 0x07)  # byte swaps are in the 32-bit class
    }
    jumps = {
        operation | source | 0x05
        for operation in _JUMP_OPERATIONS
        for source in (0x00, 0x08)
        if not (operation == 0x00 and source == 0x08)
    }
    memory = {mode | size for mode in (0x61, 0x62, 0x63) for size in (0x00, 0x08, 0x10, 0x18)}
    return frozenset(arithmetic | jumps | memory | {_OP_LOAD_64, _OP_CALL, _OP_EXIT})


_KNOWN_OPCODES = _known_opcodes()


class LinkError(Exception):
    """The objects cannot be made into a program; the message names object and symbol."""


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    alignment: int
    info: int
    data: bytes

    @property
    def is_code(self) -> bool:
        return bool(self.flags & _SHF_EXEC)

    @property
    def is_constant(self) -> bool:
        return self.name.startswith((".rodata", ".data.rel.ro"))


@dataclass(frozen=True)
class _Symbol:
    name: str
    section: int
    value: int
    is_global: bool


@dataclass(frozen=True)
class _Relocation:
    section: int
    offset: int
    symbol: int
    kind: int


@dataclass(frozen=True)
class ObjectFile:
    """A relocatable object as the compiler wrote it."""

    name: str
    sections: list[_Section]
    symbols: list[_Symbol]
    relocations: list[_Relocation]

    @classmethod
    def parse(cls, name: str, data: bytes) -> ObjectFile:
        """Read an ELF64 little-endian BPF object. Raises LinkError for anything else."""
        if data[:6] != b"\x7fELF\x02\x01" or len(data) < _ELF_HEADER.size:
            raise LinkError(f"{name}: not a little-endian ELF64 file")
        header = _ELF_HEADER.unpack_from(data)
        if header[2] != _MACHINE_BPF:
            raise LinkError(f"{name}: machine {header[2]} is not BPF")
        table, count, names_index = header[6], header[12], header[13]
        raw = [
            _SECTION_HEADER.unpack_from(data, table + i * _SECTION_HEADER.size)
            for i in range(count)
        ]

        def content(entry: tuple[int, ...]) -> bytes:
            return b"" if entry[1] == _SHT_NOBITS else data[entry[4] : entry[4] + entry[5]]

        section_names = content(raw[names_index])
        sections = [
            _Section(_string(section_names, e[0]), e[1], e[2], e[8], e[7], content(e)) for e in raw
        ]
        symbols: list[_Symbol] = []
        relocations: list[_Relocation] = []
        for entry, section in zip(raw, sections, strict=True):
            if section.kind == _SHT_NOBITS and entry[5]:
                raise LinkError(f"{name}: writable data in {section.name}")
            if section.kind == _SHT_SYMTAB:
                strings = sections[entry[6]].data
                symbols += [_symbol(e, strings) for e in _SYMBOL.iter_unpack(section.data)]
            if section.kind == _SHT_REL:
                relocations += [
                    _Relocation(section.info, offset, info >> 32, info & 0xFFFFFFFF)
                    for offset, info in _RELOCATION.iter_unpack(section.data)
                ]
        return cls(name, sections, symbols, relocations)


def _string(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode()


def _symbol(fields: tuple[int, ...], strings: bytes) -> _Symbol:
    name_offset, info, _visibility, section, value, _size = fields
    is_section = info & 0xF == _STT_SECTION
    return _Symbol(
        name="" if is_section else _string(strings, name_offset),
        section=section,
        value=value,
        is_global=info >> 4 != _STB_LOCAL,
    )


def _align(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


@dataclass
class _Image:
    """Code and constants being laid out; positions are offsets in the output file."""

    start: int
    code: bytearray = field(default_factory=bytearray)
    constants: bytearray = field(default_factory=bytearray)
    syscall_sites: list[tuple[int, str]] = field(default_factory=list)

    @property
    def constants_start(self) -> int:
        return _align(self.start + len(self.code), 8)

    def patch(self, position: int, data: bytes) -> None:
        if position < self.constants_start:
            target, offset = self.code, position - self.start
        else:
            target, offset = self.constants, position - self.constants_start
        target[offset : offset + len(data)] = data

    def read(self, position: int, size: int) -> bytes:
        if position < self.constants_start:
            offset = position - self.start
            return bytes(self.code[offset : offset + size])
        offset = position - self.constants_start
        return bytes(self.constants[offset : offset + size])


_Places = dict[tuple[str, int], int]
_HEADERS_SIZE = _ELF_HEADER.size + 3 * _PROGRAM_HEADER.size


def _place_sections(objects: Sequence[ObjectFile]) -> tuple[_Image, _Places]:
    """Concatenate the objects' code and constants; answer where each section went."""
    image = _Image(start=_HEADERS_SIZE)
    offsets: dict[tuple[str, int], tuple[bool, int]] = {}
    for item in objects:
        for index, section in enumerate(item.sections):
            if not section.flags & _SHF_ALLOC or section.name == ".eh_frame" or not section.data:
                continue
            if not section.is_code and not section.is_constant:
                raise LinkError(f"{item.name}: section {section.name} is neither code nor constant")
            part = image.code if section.is_code else image.constants
            part.extend(bytes(_align(len(part), max(section.alignment, 8)) - len(part)))
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
    item: ObjectFile, symbol: _Symbol, places: _Places, addresses: dict[str, int]
) -> int | None:
    """The symbol's position in the output, or None for one that is defined nowhere."""
    if symbol.section == _SHN_UNDEF:
        return addresses.get(symbol.name)
    place = places.get((item.name, symbol.section))
    if place is None:
        raise LinkError(f"{item.name}: {symbol.name or 'a symbol'} lies in a dropped section")
    return place + symbol.value


def _relocate_call(
    image: _Image, item: ObjectFile, symbol: _Symbol, position: int, target: int | None
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


def _relocate_load(image: _Image, position: int, target: int) -> None:
    low = struct.unpack("<I", image.read(position + 4, 4))[0]
    high = struct.unpack("<I", image.read(position + 12, 4))[0]
    address = IMAGE_BASE + target + (high << 32 | low)
    image.patch(position + 4, struct.pack("<I", address & 0xFFFFFFFF))
    image.patch(position + 12, struct.pack("<I", address >> 32))


def _relocate_pointer(image: _Image, position: int, target: int) -> None:
    (addend,) = struct.unpack("<Q", image.read(position, 8))
    image.patch(position, struct.pack("<Q", IMAGE_BASE + target + addend))


def _relocate(
    image: _Image, objects: Iterable[ObjectFile], places: _Places, addresses: dict[str, int]
) -> None:
    for item in objects:
        for relocation in item.relocations:
            place = places.get((item.name, relocation.section))
            if place is None:
                continue
            position = place + relocation.offset
            symbol = item.symbols[relocation.symbol]
            target = _resolve(item, symbol, places, addresses)
            if relocation.kind == _R_BPF_64_32:
                _relocate_call(image, item, symbol, position, target)
            elif target is None:
                raise LinkError(f"{item.name}: {symbol.name} is not defined")
            elif relocation.kind == _R_BPF_64_64:
                _relocate_load(image, position, target)
            elif relocation.kind == _R_BPF_64_ABS64:
                _relocate_pointer(image, position, target)
            else:
                raise LinkError(f"{item.name}: relocation type {relocation.kind} is not known")


def _check_instructions(code: bytes) -> None:
    offset = 0
    while offset < len(code):
        opcode = code[offset]
        if opcode not in _KNOWN_OPCODES:
            raise LinkError(f"opcode {opcode:#04x} at code offset {offset} is not SBPF v0")
        offset += 2 * INSTRUCTION_SIZE if opcode == _OP_LOAD_64 else INSTRUCTION_SIZE


@dataclass(frozen=True)
class _OutputSection:
    name: str
    kind: int
    flags: int
    position: int
    data: bytes
    link: int = 0
    entry_size: int = 0
    info: int = 0


def _dynamic_sections(
    position: int, syscall_sites: Sequence[tuple[int, str]]
) -> list[_OutputSection]:
    """The tables from which the loader learns which calls are syscalls."""
    names = sorted({name for _, name in syscall_sites})
    strings = b"\0"
    symbols = _SYMBOL.pack(0, 0, 0, 0, 0, 0)
    for name in names:
        symbols += _SYMBOL.pack(len(strings), _STB_GLOBAL << 4, 0, _SHN_UNDEF, 0, 0)
        strings += name.encode() + b"\0"
    index = {name: number for number, name in enumerate(names, start=1)}
    relocations = b"".join(
        _RELOCATION.pack(site, index[name] << 32 | _R_BPF_64_32)
        for site, name in sorted(syscall_sites)
    )
    entry_count = 8 if relocations else 5
    dynamic_at = _align(position, 8)
    symbols_at = dynamic_at + entry_count * _DYNAMIC.size
    strings_at = symbols_at + len(symbols)
    relocations_at = _align(strings_at + len(strings), 8)
    entries = [
        (_DT_SYMTAB, symbols_at),
        (_DT_SYMENT, _SYMBOL.size),
        (_DT_STRTAB, strings_at),
        (_DT_STRSZ, len(strings)),
        (_DT_NULL, 0),
    ]
    if relocations:
        entries = [
            (_DT_REL, relocations_at),
            (_DT_RELSZ, len(relocations)),
            (_DT_RELENT, _RELOCATION.size),
            *entries,
        ]
    dynamic = b"".join(_DYNAMIC.pack(*entry) for entry in entries)
    alloc = _SHF_ALLOC
    return [
        _OutputSection(
            ".dynamic", _SHT_DYNAMIC, alloc | _SHF_WRITE, dynamic_at, dynamic, 5, _DYNAMIC.size
        ),
        _OutputSection(".dynsym", _SHT_DYNSYM, alloc, symbols_at, symbols, 5, _SYMBOL.size, 1),
        _OutputSection(".dynstr", _SHT_STRTAB, alloc, strings_at, strings),
        _OutputSection(
            ".rel.dyn", _SHT_REL, alloc, relocations_at, relocations, 4, _RELOCATION.size
        ),
    ]


def _write(image: _Image, entry: int) -> bytes:
    code_end = image.start + len(image.code)
    sections = [
        _OutputSection(
            ".text", _SHT_PROGBITS, _SHF_ALLOC | _SHF_EXEC, image.start, bytes(image.code)
        ),
        _OutputSection(
            ".rodata", _SHT_PROGBITS, _SHF_ALLOC, image.constants_start, bytes(image.constants)
        ),
    ]
    image_end = image.constants_start + len(image.constants) if image.constants else code_end
    sections += _dynamic_sections(image_end, image.syscall_sites)
    dynamic, tables_end = sections[2], sections[-1].position + len(sections[-1].data)

    names = b"\0"
    name_offsets = []
    for name in [*(section.name for section in sections), ".shstrtab"]:
        name_offsets.append(len(names))
        names += name.encode() + b"\0"
    sections.append(_OutputSection(".shstrtab", _SHT_STRTAB, 0, tables_end, names))
    headers_at = _align(tables_end + len(names), 8)

    output = bytearray(headers_at)
    output[: _ELF_HEADER.size] = _ELF_HEADER.pack(
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"),
        3,  # shared object
        _MACHINE_SBPF,
        1,
        entry,
        _ELF_HEADER.size,
        headers_at,
        0,  # SBPF v0
        _ELF_HEADER.size,
        _PROGRAM_HEADER.size,
        3,
        _SECTION_HEADER.size,
        len(sections) + 1,
        len(sections),
    )
    segments = [
        (1, 5, image.start, image_end - image.start),  # PT_LOAD, read and execute
        (1, 4, dynamic.position, tables_end - dynamic.position),  # PT_LOAD, read
        (2, 6, dynamic.position, len(dynamic.data)),  # PT_DYNAMIC
    ]
    for number, (kind, flags, position, size) in enumerate(segments):
        _PROGRAM_HEADER.pack_into(
            output,
            _ELF_HEADER.size + number * _PROGRAM_HEADER.size,
            kind,
            flags,
            position,
            position,
            position,
            size,
            size,
            8,
        )
    output += bytes(_SECTION_HEADER.size)
    for section, name_offset in zip(sections, name_offsets, strict=True):
        output[section.position : section.position + len(section.data)] = section.data
        output += _SECTION_HEADER.pack(
            name_offset,
            section.kind,
            section.flags,
            section.position if section.flags & _SHF_ALLOC else 0,
            section.position,
            len(section.data),
            section.link,
            section.info,
            8 if section.kind != _SHT_STRTAB else 1,
            section.entry_size,
        )
    return bytes(output)


def link(objects: Sequence[ObjectFile], entry: str = "entrypoint") -> bytes:
    """Make one program of the objects, starting at the function `entry`.

    Raises LinkError for a missing or doubly defined symbol, writable data, an unknown relocation,
    or an instruction that SBPF v0 does not have.
    """
    image, places = _place_sections(objects)
    addresses = _global_addresses(objects, places)
    _relocate(image, objects, places, addresses)
    _check_instructions(bytes(image.code))
    if entry not in addresses:
        raise LinkError(f"no object defines {entry}")
    return _write(image, addresses[entry])
