"""The ELF records and constants that BPF objects and SBPF programs use.

The layouts are those of the System V ABI for 64-bit little-endian files; the relocation types
are LLVM's for BPF.
"""

import struct

MACHINE_BPF = 247  # what the compiler writes
MACHINE_SBPF = 263  # what the loader expects

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQ")
DYNAMIC = struct.Struct("<qQ")

SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB = 1, 2, 3
SHT_DYNAMIC, SHT_NOBITS, SHT_REL, SHT_DYNSYM = 6, 8, 9, 11
SHF_WRITE, SHF_ALLOC, SHF_EXEC = 1, 2, 4
SHN_UNDEF = 0
STT_SECTION = 3
STB_LOCAL, STB_GLOBAL = 0, 1
PT_LOAD, PT_DYNAMIC = 1, 2
PF_EXEC, PF_WRITE, PF_READ = 1, 2, 4
ET_DYN = 3

DT_NULL, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT = 0, 5, 6, 10, 11
DT_REL, DT_RELSZ, DT_RELENT = 17, 18, 19

R_BPF_64_64 = 1  # the two-slot load of a 64-bit address
R_BPF_64_ABS64 = 2  # a pointer among the constants
R_BPF_64_32 = 10  # the target of a call


IMAGE_BASE = 0x1_0000_0000  # where the loader maps offset 0 of a program file


def align(size: int, alignment: int) -> int:
    """Round ``size`` up to a multiple of ``alignment``."""
    return -(-size // alignment) * alignment
