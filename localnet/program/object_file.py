"""Parser of the relocatable objects that the compiler writes."""

from __future__ import annotations

from dataclasses import dataclass

from localnet.program import elf


class LinkError(Exception):
    """The objects cannot be linked into a program; the text names object and symbol."""


@dataclass(frozen=True)
class Section:
    """A section.

    Attributes:
        kind: its SHT number.
        info: of a section of relocations, the section they apply to.
    """

    name: str
    kind: int
    flags: int
    alignment: int
    info: int
    data: bytes

    @property
    def is_code(self) -> bool:
        """Whether it holds instructions."""
        return bool(self.flags & elf.SHF_EXEC)

    @property
    def is_constant(self) -> bool:
        """Whether it holds data that is read-only once addresses are filled in."""
        return self.name.startswith((".rodata", ".data.rel.ro"))


@dataclass(frozen=True)
class Symbol:
    """A named position in a section, or, without a name, the section itself."""

    name: str
    section: int
    value: int
    is_global: bool


@dataclass(frozen=True)
class Relocation:
    """A position in a section that needs a symbol's address; ``kind`` is an R_BPF number."""

    section: int
    offset: int
    symbol: int
    kind: int


@dataclass(frozen=True)
class ObjectFile:
    """A relocatable object as the compiler wrote it."""

    name: str
    sections: list[Section]
    symbols: list[Symbol]
    relocations: list[Relocation]

    @classmethod
    def parse(cls, name: str, data: bytes) -> ObjectFile:
        """Parse an ELF64 little-endian BPF object, or raise LinkError."""
        if data[:6] != b"\x7fELF\x02\x01" or len(data) < elf.HEADER.size:
            raise LinkError(f"{name}: not a little-endian ELF64 file")
        header = elf.HEADER.unpack_from(data)
        if header[2] != elf.MACHINE_BPF:
            raise LinkError(f"{name}: machine {header[2]} is not BPF")
        table, count, names_index = header[6], header[12], header[13]
        raw = [
            elf.SECTION_HEADER.unpack_from(data, table + i * elf.SECTION_HEADER.size)
            for i in range(count)
        ]

        def content(entry: tuple[int, ...]) -> bytes:
            return b"" if entry[1] == elf.SHT_NOBITS else data[entry[4] : entry[4] + entry[5]]

        section_names = content(raw[names_index])
        sections = [
            Section(_string(section_names, e[0]), e[1], e[2], e[8], e[7], content(e)) for e in raw
        ]
        symbols: list[Symbol] = []
        relocations: list[Relocation] = []
        for entry, section in zip(raw, sections, strict=True):
            if section.kind == elf.SHT_NOBITS and entry[5]:
                raise LinkError(f"{name}: writable data in {section.name}")
            if section.kind == elf.SHT_SYMTAB:
                strings = sections[entry[6]].data
                symbols += [_symbol(e, strings) for e in elf.SYMBOL.iter_unpack(section.data)]
            if section.kind == elf.SHT_REL:
                relocations += [
                    Relocation(section.info, offset, info >> 32, info & 0xFFFFFFFF)
                    for offset, info in elf.RELOCATION.iter_unpack(section.data)
                ]
        return cls(name, sections, symbols, relocations)


def _string(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode()


def _symbol(fields: tuple[int, ...], strings: bytes) -> Symbol:
    name_offset, info, _visibility, section, value, _size = fields
    is_section = info & 0xF == elf.STT_SECTION
    return Symbol(
        name="" if is_section else _string(strings, name_offset),
        section=section,
        value=value,
        is_global=info >> 4 != elf.STB_LOCAL,
    )
