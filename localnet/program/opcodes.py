"""The opcodes of SBPF v0, the target's instruction set."""

from localnet.program.object_file import LinkError

INSTRUCTION_SIZE = 8

_OP_LOAD_64 = 0x18
_OP_CALL = 0x85
_OP_EXIT = 0x95
_ALU_OPERATIONS = range(0x00, 0xE0, 0x10)
_JUMP_OPERATIONS = tuple(code for code in range(0x00, 0xE0, 0x10) if code not in (0x80, 0x90))


def _known_opcodes() -> frozenset[int]:
    """Return the opcodes of SBPF v0, except calls through a register, which are not emitted."""
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


def check_instructions(code: bytes) -> None:
    """Raise LinkError for an instruction that SBPF v0 lacks; newer BPF versions have more."""
    offset = 0
    while offset < len(code):
        opcode = code[offset]
        if opcode not in _KNOWN_OPCODES:
            raise LinkError(f"opcode {opcode:#04x} at code offset {offset} is not SBPF v0")
        offset += 2 * INSTRUCTION_SIZE if opcode == _OP_LOAD_64 else INSTRUCTION_SIZE
