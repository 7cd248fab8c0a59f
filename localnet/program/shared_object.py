"""Writer of the ELF file that the loader accepts.

The loader requires sections in file order with ``sh_addr == sh_offset``, tables aligned to eight
bytes, one ``.text``, and the entry point inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from localnet.program import elf

SEGMENTS = 3
HEADERS_SIZE = elf.HEADER.size + SEGMENTS * elf.PROGRAM_HEADER.size


@dataclass
class Image:
    """The code and constants of the output; positions are offsets in the output file.

    ``syscall_sites`` are the positions of call instructions with the syscalls they call.
    """

    start: int
    code: bytearray = field(default_factory=bytearray)
    constants: bytearray = field(default_factory=bytearray)
    syscall_sites: list[tuple[int, str]] = field(default_factory=list)

    @property
    def constants_start(self) -> int:
        """The position of the first constant, final once all code has been added."""
        return elf.align(self.start + len(self.code), 8)

    def patch(self, position: int, data: bytes) -> None:
        """Overwrite the bytes at a position."""
        if position < self.constants_start:
            target, offset = self.code, position - self.start
        else:
            target, offset = self.constants, position - self.constants_start
        target[offset : offset + len(data)] = data

    def read(self, position: int, size: int) -> bytes:
        """Return the bytes at a position."""
        if position < self.constants_start:
            offset = position - self.start
            return bytes(self.code[offset : offset + size])
        offset = position - self.constants_start
        return bytes(self.constants[offset : offset + size])


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    position: int
    data: bytes
    link: int = 0
    entry_size: int = 0
    info: int = 0

    @property
    def end(self) -> int:
        return self.position + len(self.data)

    def header(self, name_offset: int) -> bytes:
        return elf.SECTION_HEADER.pack(
            name_offset,
            self.kind,
            self.flags,
            self.position if self.flags & elf.SHF_ALLOC else 0,
            self.position,
            len(self.data),
            self.link,
            self.info,
            1 if self.kind == elf.SHT_STRTAB else 8,
            self.entry_size,
        )


def _image_sections(image: Image) -> list[_Section]:
    code, constants = bytes(image.code), bytes(image.constants)
    code_flags = elf.SHF_ALLOC | elf.SHF_EXEC
    return [
        _Section(".text", elf.SHT_PROGBITS, code_flags, image.start, code),
        _Section(".rodata", elf.SHT_PROGBITS, elf.SHF_ALLOC, image.constants_start, constants),
    ]


_DYNSYM, _DYNSTR = 4, 5  # numbers of sections, for the links between them


def _dynamic_sections(start: int, syscall_sites: Sequence[tuple[int, str]]) -> list[_Section]:
    """Return the tables that declare to the loader which calls are syscalls."""
    names = sorted({name for _, name in syscall_sites})
    strings = b"\0"
    symbols = elf.SYMBOL.pack(0, 0, 0, 0, 0, 0)
    for name in names:
        symbols += elf.SYMBOL.pack(len(strings), elf.STB_GLOBAL << 4, 0, elf.SHN_UNDEF, 0, 0)
        strings += name.encode() + b"\0"
    index = {name: number for number, name in enumerate(names, start=1)}
    relocations = b"".join(
        elf.RELOCATION.pack(site, index[name] << 32 | elf.R_BPF_64_32)
        for site, name in sorted(syscall_sites)
    )
    # The loader refuses a relocation table that is announced and empty.
    entry_count = 8 if relocations else 5
    dynamic_at = elf.align(start, 8)
    symbols_at = dynamic_at + entry_count * elf.DYNAMIC.size
    strings_at = symbols_at + len(symbols)
    relocations_at = elf.align(strings_at + len(strings), 8)
    entries = [
        (elf.DT_REL, relocations_at),
        (elf.DT_RELSZ, len(relocations)),
        (elf.DT_RELENT, elf.RELOCATION.size),
        (elf.DT_SYMTAB, symbols_at),
        (elf.DT_SYMENT, elf.SYMBOL.size),
        (elf.DT_STRTAB, strings_at),
        (elf.DT_STRSZ, len(strings)),
        (elf.DT_NULL, 0),
    ]
    dynamic = b"".join(elf.DYNAMIC.pack(*entry) for entry in entries[-entry_count:])
    alloc, written = elf.SHF_ALLOC, elf.SHF_ALLOC | elf.SHF_WRITE
    dynamic_size, symbol_size = elf.DYNAMIC.size, elf.SYMBOL.size
    relocation_size = elf.RELOCATION.size
    return [
        _Section(".dynamic", elf.SHT_DYNAMIC, written, dynamic_at, dynamic, _DYNSTR, dynamic_size),
        _Section(
            ".dynsym", elf.SHT_DYNSYM, alloc, symbols_at, symbols, _DYNSTR, symbol_size, info=1
        ),
        _Section(".dynstr", elf.SHT_STRTAB, alloc, strings_at, strings),
        _Section(
            ".rel.dyn", elf.SHT_REL, alloc, relocations_at, relocations, _DYNSYM, relocation_size
        ),
    ]


def _segment(kind: int, flags: int, start: int, end: int) -> bytes:
    size = end - start
    return elf.PROGRAM_HEADER.pack(kind, flags, start, start, start, size, size, 8)


def shared_object_bytes(image: Image, entry: int) -> bytes:
    """Return the file's bytes: headers, image, tables.

    ``entry`` is the position of the first instruction.
    """
    sections = _image_sections(image)
    sections += _dynamic_sections(sections[-1].end, image.syscall_sites)
    code, constants, dynamic, *_, last = sections
    segments = [
        _segment(elf.PT_LOAD, elf.PF_READ | elf.PF_EXEC, code.position, constants.end),
        _segment(elf.PT_LOAD, elf.PF_READ, dynamic.position, last.end),
        _segment(elf.PT_DYNAMIC, elf.PF_READ | elf.PF_WRITE, dynamic.position, dynamic.end),
    ]

    names = b"\0"
    name_offsets = []
    for name in [*(section.name for section in sections), ".shstrtab"]:
        name_offsets.append(len(names))
        names += name.encode() + b"\0"
    sections.append(_Section(".shstrtab", elf.SHT_STRTAB, 0, last.end, names))
    section_headers_at = elf.align(last.end + len(names), 8)

    header = elf.HEADER.pack(
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"),
        elf.ET_DYN,
        elf.MACHINE_SBPF,
        1,
        entry,
        elf.HEADER.size,
        section_headers_at,
        0,  # flags: SBPF v0
        elf.HEADER.size,
        elf.PROGRAM_HEADER.size,
        SEGMENTS,
        elf.SECTION_HEADER.size,
        len(sections) + 1,
        len(sections),
    )
    output = bytearray(section_headers_at)
    output[:HEADERS_SIZE] = header + b"".join(segments)
    output += bytes(elf.SECTION_HEADER.size)
    for section, name_offset in zip(sections, name_offsets, strict=True):
        output[section.position : section.end] = section.data
        output += section.header(name_offset)
    return bytes(output)
