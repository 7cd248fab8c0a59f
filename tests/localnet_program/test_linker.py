"""The linker: valid and invalid objects, and execution of the result."""

import struct
from pathlib import Path

import pytest
from solders.instruction import Instruction
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata

from localnet.program import PROGRAM_SO, elf
from localnet.program.build import compile_source
from localnet.program.linker import SYSCALLS, link
from localnet.program.object_file import LinkError, ObjectFile
from localnet.program.opcodes import check_instructions
from tests.localnet_program.world import SOL, key

pytestmark = pytest.mark.process


def compiled(folder: Path, **sources: str) -> list[ObjectFile]:
    objects = []
    for name, text in sources.items():
        source = folder / f"{name}.c"
        source.write_text(text)
        objects.append(compile_source(source, folder))
    return objects


def run(program: bytes, data: bytes = b"") -> TransactionMetadata:
    svm, address, payer = LiteSVM(), key(90).pubkey(), key(91)
    svm.add_program(address, program)
    svm.airdrop(payer.pubkey(), SOL)
    message = Message([Instruction(address, data, [])], payer.pubkey())
    result = svm.send_transaction(Transaction([payer], message, svm.latest_blockhash()))
    assert isinstance(result, TransactionMetadata), result
    return result


LOGGER = """
#include "sbf.h"
u64 length(const char *text);
extern const char *const WORDS[];
u64 entrypoint(u8 *input)
{
    /* Without accounts: a zero count, the size of the data, the data. */
    u64 word = input[16];
    sol_log_(WORDS[word], length(WORDS[word]));
    return 0;
}
"""

WORDS = """
#include "sbf.h"
const char *const WORDS[] = {"first", "second", "the third"};
u64 length(const char *text)
{
    u64 n = 0;
    while (text[n])
        n++;
    return n;
}
"""


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_calls_and_pointers_across_objects(tmp_path: Path, order: tuple[str, str]) -> None:
    objects = compiled(tmp_path, a=LOGGER, b=WORDS)
    if order == ("b", "a"):
        objects.reverse()
    program = link(objects)
    for number, word in enumerate(["first", "second", "the third"]):
        assert f"Program log: {word}" in run(program, bytes([number])).logs()


def test_a_program_without_syscalls(tmp_path: Path) -> None:
    (only,) = compiled(tmp_path, a='#include "sbf.h"\nu64 entrypoint(u8 *in) { return *in; }')
    assert run(link([only])).logs()[-1].endswith("success")


def sections_of(program: bytes) -> dict[str, tuple[int, ...]]:
    header = elf.HEADER.unpack_from(program)
    table, count, names = header[6], header[12], header[13]
    entries = [
        elf.SECTION_HEADER.unpack_from(program, table + number * elf.SECTION_HEADER.size)
        for number in range(count)
    ]
    strings = program[entries[names][4] :]
    return {strings[e[0] : strings.index(b"\0", e[0])].decode(): e for e in entries}


def test_layout_of_the_committed_program() -> None:
    program = PROGRAM_SO.read_bytes()
    header = elf.HEADER.unpack_from(program)
    assert header[1:3] == (elf.ET_DYN, elf.MACHINE_SBPF)
    assert header[7] == 0  # SBPF v0
    sections = sections_of(program)
    assert list(sections) == [
        *("", ".text", ".rodata", ".dynamic", ".dynsym", ".dynstr", ".rel.dyn", ".shstrtab")
    ]
    text = sections[".text"]
    assert text[3] <= header[4] < text[3] + text[5]
    assert (header[4] - text[3]) % 8 == 0
    end = 0
    for name, (_, _, flags, address, position, size, *_) in sections.items():
        if not name:
            continue
        assert position >= end
        end = position + size
        if flags & elf.SHF_ALLOC:
            assert address == position
    relocations = sections[".rel.dyn"]
    places = program[relocations[4] : relocations[4] + relocations[5]]
    for place, info in elf.RELOCATION.iter_unpack(places):
        assert info & 0xFFFFFFFF == elf.R_BPF_64_32
        opcode, immediate = program[place], program[place + 4 : place + 8]
        assert (opcode, immediate) == (0x85, struct.pack("<i", -1))


def test_unknown_function_is_refused_by_name(tmp_path: Path) -> None:
    source = '#include "sbf.h"\nu64 sol_lqg_(void);\nu64 entrypoint(void) { return sol_lqg_(); }'
    with pytest.raises(LinkError, match="sol_lqg_ is neither defined nor a syscall"):
        link(compiled(tmp_path, a=source))


def test_undefined_constant_is_refused_by_name(tmp_path: Path) -> None:
    source = '#include "sbf.h"\nextern const u64 LOST;\nu64 entrypoint(void) { return LOST; }'
    with pytest.raises(LinkError, match="LOST is not defined"):
        link(compiled(tmp_path, a=source))


def test_two_definitions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="length is defined twice"):
        link(compiled(tmp_path, a=LOGGER, b=WORDS, c=WORDS.replace("WORDS", "MORE")))


def test_a_missing_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="no object defines entrypoint"):
        link(compiled(tmp_path, b=WORDS))


@pytest.mark.parametrize("value", ["", " = 5"])
def test_writable_data_is_refused(tmp_path: Path, value: str) -> None:
    source = f'#include "sbf.h"\nu64 state{value};\nu64 entrypoint(void) {{ return state++; }}'
    with pytest.raises(LinkError, match=r"writable data in \.bss|\.data is neither"):
        link(compiled(tmp_path, a=source))


def test_invalid_object_files_are_refused() -> None:
    with pytest.raises(LinkError, match="notes: not a little-endian ELF64 file"):
        ObjectFile.parse("notes", b"some text that is long enough to have a header, or so it seems")
    with pytest.raises(LinkError, match="machine 263 is not BPF"):
        ObjectFile.parse("program", PROGRAM_SO.read_bytes())


@pytest.mark.parametrize("opcode", [0x8D, 0x16, 0x9F | 0x40, 0xC3, 0xDB, 0x06])
def test_newer_instructions_are_refused(opcode: int) -> None:
    with pytest.raises(LinkError, match=f"opcode {opcode:#04x} at code offset 8"):
        check_instructions(struct.pack("<Q", 0x95) + struct.pack("<Q", opcode))


def test_every_listed_syscall_exists(tmp_path: Path) -> None:
    """The loader takes an unknown name and fails when it is called; so call them all once."""
    for name in sorted(SYSCALLS - {"abort", "sol_invoke_signed_c"}):
        source = (
            f'#include "sbf.h"\nu64 {name}(const void *, u64, const void *, void *, u8 *);\n'
            "u64 entrypoint(u8 *in) {"
            "  static const Key key; u8 out[64]; u8 bump;"
            "  u64 size = in[16];"
            f"  {name}({{}}, size, &key, out, &bump); return 0; }}"
        )
        first = "out" if name == "sol_get_clock_sysvar" else "&key"
        source = source.replace("{}", first).replace('#include "sbf.h"', TYPES)
        run(link(compiled(tmp_path, a=source)), b"\0")


TYPES = """
typedef unsigned char u8;
typedef unsigned long long u64;
typedef struct { u64 word[4]; } Key;
"""
