"""Instruction data, account bytes and addresses of the program, packed by hand.

Written from the program's documented layouts alone, so that these tests check the program and not
the project's codecs. All numbers are little endian; an option is a tag byte and then the value.
"""

import struct
from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

PROGRAM = Pubkey.from_string("6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw")
SYSTEM = Pubkey.from_string("11111111111111111111111111111111")

PROPOSED, APPROVED, ACTIVE, RESOLVING, DISPUTED, FINALIZED, CANCELLED = range(7)
PROPOSAL, DISPUTE = 0, 1

CONFIG_SIZE, MARKET_SIZE, POSITION_SIZE, VOTE_SIZE = 206, 488, 182, 83
RENT = {206: 2_324_640, 488: 4_287_360, 182: 2_157_600, 83: 1_468_560}

INSTRUCTION = {
    "initialize_global_config": "71d87a83e1d11637",
    "create_market": "67e261ebc8bcfbfe",
    "submit_proposal_vote": "b1bb3be61db90ef0",
    "aggregate_proposal_votes": "1a9c1215b9b0ca48",
    "approve_proposal": "886c665562720793",
    "activate_market": "0a1ac57471634859",
    "buy_shares": "28ef8a9a08256a6c",
    "sell_shares": "b8a4a910e79ec7c4",
    "resolve_market": "9b1750ad2e4a17ef",
    "initiate_dispute": "80f2a0172c3dab25",
    "submit_dispute_vote": "31df3d4298eb48e6",
    "aggregate_dispute_votes": "4a0e1e13d48d7019",
    "finalize_market": "10e1261cd5d901f7",
    "claim_winnings": "a1d7183b0eecf2dd",
    "withdraw_liquidity": "959e21b92ff3fd1f",
    "update_global_config": "a45482bd6f3afac8",
    "emergency_pause": "158f1b8ec8b5d2ff",
    "cancel_market": "cd7954d2de47960b",
}

EVENT = {
    "GlobalConfigInitialized": "05ddac9e4d579d71",
    "MarketCreated": "58b882e7e254063a",
    "ProposalVoteSubmitted": "9c438f02d9a20638",
    "ProposalAggregated": "eaa647763cf38bd5",
    "ProposalApproved": "46319be49d2b5831",
    "MarketActivated": "c4494e30bb846b0b",
    "SharesBought": "f062450afdeae241",
    "SharesSold": "23e70535e49e71fb",
    "MarketResolved": "5943e65f8f6ac7ca",
    "DisputeInitiated": "966d5dfcc604b799",
    "DisputeVoteSubmitted": "2702d5c34e0ac172",
    "DisputeAggregated": "3a11d2a04b246926",
    "MarketFinalized": "533e42cc254ceab3",
    "WinningsClaimed": "bbb81dc436754696",
    "LiquidityWithdrawn": "f078498b9a1fda44",
    "ConfigUpdated": "28f1e67a0b13c6c2",
    "ProtocolPauseStatusChanged": "bd96d80167233167",
    "MarketCancelled": "8ba321a813b451aa",
}

ACCOUNT = {
    "GlobalConfig": "95089ccaa0fcb0d9",
    "MarketAccount": "c94ebbe1f0c6c9fb",
    "UserPosition": "fbf8d1f553ea111b",
    "VoteRecord": "70097ba5ea099da7",
}

ERRORS = {
    101: ("InstructionFallbackNotFound", "Fallback functions are not supported"),
    102: (
        "InstructionDidNotDeserialize",
        "The program could not deserialize the given instruction",
    ),
    2000: ("ConstraintMut", "A mut constraint was violated"),
    2001: ("ConstraintHasOne", "A has one constraint was violated"),
    2005: ("ConstraintRentExempt", "A rent exemption constraint was violated"),
    2006: ("ConstraintSeeds", "A seeds constraint was violated"),
    2019: ("ConstraintSpace", "A space constraint was violated"),
    3001: ("AccountDiscriminatorNotFound", "No discriminator was found on the account"),
    3002: ("AccountDiscriminatorMismatch", "Account discriminator did not match what was expected"),
    3003: ("AccountDidNotDeserialize", "Failed to deserialize the account"),
    3005: ("AccountNotEnoughKeys", "Not enough account keys given to the instruction"),
    3007: (
        "AccountOwnedByWrongProgram",
        "The given account is owned by a different program than expected",
    ),
    3008: ("InvalidProgramId", "Program ID was not as expected"),
    3010: ("AccountNotSigner", "The given account did not sign"),
    3012: ("AccountNotInitialized", "The program expected this account to be already initialized"),
    6001: ("InvalidThreshold", "Invalid threshold: must be ≤ 10000 (100%)"),
    6002: ("InvalidTimeLimit", "Invalid time limit: must be positive"),
    6004: ("InvalidFeeStructure", "Invalid fee structure: total fees exceed 100%"),
    6005: ("InvalidGlobalConfig", "Invalid global config: must be canonical PDA"),
    6006: ("InvalidStateTransition", "Invalid state transition"),
    6007: ("InvalidMarketState", "Market not in required state"),
    6010: ("ProtocolPaused", "Protocol is paused"),
    6011: ("CannotCancelMarket", "Cannot cancel market in current state"),
    6012: ("MarketAlreadyCancelled", "Market is already cancelled"),
    6014: ("InsufficientShares", "Insufficient shares to sell"),
    6015: ("SlippageExceeded", "Slippage tolerance exceeded"),
    6016: ("InsufficientLiquidity", "Insufficient liquidity"),
    6017: ("InvalidLiquidity", "Invalid liquidity amount"),
    6018: ("TradeTooSmall", "Trade amount below minimum (0.00001 SOL)"),
    6020: ("DisputePeriodEnded", "Dispute period ended"),
    6022: ("AlreadyClaimed", "Winnings already claimed"),
    6023: ("NoWinnings", "No winnings to claim"),
    6024: ("NoVotesRecorded", "No votes recorded"),
    6025: ("InsufficientVotes", "Insufficient votes to meet threshold"),
    6026: ("AlreadyResolved", "Market already resolved"),
    6027: ("DisputePeriodNotEnded", "Dispute period not ended"),
    6029: ("Unauthorized", "Unauthorized"),
    6031: ("InvalidResolver", "Invalid resolver"),
    6033: ("OverflowError", "Arithmetic overflow"),
    6034: ("UnderflowError", "Arithmetic underflow"),
    6035: ("DivisionByZero", "Division by zero"),
    6039: ("ExponentTooLarge", "Exponent too large"),
    6041: ("BoundedLossExceeded", "Market loss exceeds theoretical maximum of b * ln(2)"),
    6042: ("InvalidBParameter", "Invalid LMSR b parameter"),
    6044: ("InvalidTimestamp", "Invalid timestamp"),
    6047: ("WouldBreakRentExemption", "Transfer would leave account below rent-exempt minimum"),
    6048: ("Reentrant", "Reentrancy detected - operation already in progress"),
    6051: ("InvalidStateForVoting", "Invalid state for voting"),
}


def u16(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def u64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def i64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def option(packed: bytes | None) -> bytes:
    return b"\0" if packed is None else b"\1" + packed


def flag(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def event(name: str, *fields: bytes) -> bytes:
    return bytes.fromhex(EVENT[name]) + b"".join(fields)


def address(*seeds: bytes, program: Pubkey = PROGRAM) -> tuple[Pubkey, int]:
    return Pubkey.find_program_address(list(seeds), program)


def config_address() -> tuple[Pubkey, int]:
    return address(b"global-config")


def market_address(market_id: bytes) -> tuple[Pubkey, int]:
    return address(b"market", market_id)


def position_address(market: Pubkey, user: Pubkey) -> tuple[Pubkey, int]:
    return address(b"position", bytes(market), bytes(user))


def vote_address(market: Pubkey, user: Pubkey, kind: int) -> tuple[Pubkey, int]:
    return address(b"vote", bytes(market), bytes(user), bytes([kind]))


def account(key: Pubkey, flags: str = "") -> AccountMeta:
    """`flags`: s for signer, w for writable."""
    return AccountMeta(key, "s" in flags, "w" in flags)


def instruction(name: str, accounts: list[AccountMeta], *arguments: bytes) -> Instruction:
    return Instruction(PROGRAM, bytes.fromhex(INSTRUCTION[name]) + b"".join(arguments), accounts)


@dataclass
class Config:
    admin: Pubkey
    backend_authority: Pubkey
    protocol_fee_wallet: Pubkey
    protocol_fee_bps: int = 300
    resolver_reward_bps: int = 200
    liquidity_provider_fee_bps: int = 500
    proposal_approval_threshold: int = 7000
    dispute_success_threshold: int = 6000
    min_resolution_delay: int = 86_400
    dispute_period: int = 259_200
    min_resolver_reputation: int = 8000
    is_paused: bool = False
    bump: int = 255

    def pack(self) -> bytes:
        fields = [
            bytes.fromhex(ACCOUNT["GlobalConfig"]),
            bytes(self.admin),
            bytes(self.backend_authority),
            bytes(self.protocol_fee_wallet),
            u16(self.protocol_fee_bps, self.resolver_reward_bps, self.liquidity_provider_fee_bps),
            u16(self.proposal_approval_threshold, self.dispute_success_threshold),
            i64(self.min_resolution_delay, self.dispute_period),
            u16(self.min_resolver_reputation),
            flag(self.is_paused),
            bytes(64),
            bytes([self.bump]),
        ]
        return b"".join(fields).ljust(CONFIG_SIZE, b"\0")


NOBODY = Pubkey(bytes(32))


@dataclass
class Market:
    market_id: bytes
    creator: Pubkey
    b_parameter: int
    initial_liquidity: int
    ipfs_evidence_hash: bytes
    bump: int
    state: int = PROPOSED
    current_liquidity: int = 0
    shares_yes: int = 0
    shares_no: int = 0
    total_volume: int = 0
    created_at: int = 0
    approved_at: int = 0
    activated_at: int = 0
    resolution_proposed_at: int = 0
    resolved_at: int = 0
    finalized_at: int = 0
    resolver: Pubkey = NOBODY
    proposed_outcome: bool | None = None
    final_outcome: bool | None = None
    dispute_initiated_at: int = 0
    dispute_initiator: Pubkey = NOBODY
    accumulated_resolver_fees: int = 0
    accumulated_lp_fees: int = 0
    proposal_votes: tuple[int, int] = (0, 0)
    dispute_votes: tuple[int, int] = (0, 0)
    was_disputed: bool = False
    cancelled_at: int | None = None
    is_locked: bool = False

    def pack(self) -> bytes:
        def outcome(value: bool | None) -> bytes:
            return option(None if value is None else flag(value))

        fields = [
            bytes.fromhex(ACCOUNT["MarketAccount"]),
            self.market_id,
            bytes(self.creator),
            bytes([self.state]),
            u64(self.b_parameter, self.initial_liquidity, self.current_liquidity),
            u64(self.shares_yes, self.shares_no, self.total_volume),
            i64(self.created_at, self.approved_at, self.activated_at),
            i64(self.resolution_proposed_at, self.resolved_at, self.finalized_at),
            bytes(self.resolver),
            outcome(self.proposed_outcome),
            outcome(self.final_outcome),
            self.ipfs_evidence_hash,
            i64(self.dispute_initiated_at),
            bytes(self.dispute_initiator),
            u64(0, self.accumulated_resolver_fees, self.accumulated_lp_fees),
            u32(*self.proposal_votes, sum(self.proposal_votes)),
            u32(0, 0, 0),
            u32(*self.dispute_votes, sum(self.dispute_votes)),
            flag(self.was_disputed),
            flag(False),
            option(None if self.cancelled_at is None else i64(self.cancelled_at)),
            flag(self.is_locked),
            bytes(119),
            bytes([self.bump]),
        ]
        return b"".join(fields).ljust(MARKET_SIZE, b"\0")


@dataclass
class Position:
    market: Pubkey
    user: Pubkey
    bump: int
    shares_yes: int = 0
    shares_no: int = 0
    total_invested: int = 0
    trades_count: int = 0
    last_trade_at: int = 0
    has_claimed: bool = False
    claimed_amount: int = 0

    def pack(self) -> bytes:
        fields = [
            bytes.fromhex(ACCOUNT["UserPosition"]),
            bytes(self.market),
            bytes(self.user),
            u64(self.shares_yes, self.shares_no, self.total_invested),
            u32(self.trades_count),
            i64(self.last_trade_at),
            flag(self.has_claimed),
            u64(self.claimed_amount),
            bytes(64),
            bytes([self.bump]),
        ]
        return b"".join(fields)


@dataclass
class Vote:
    market: Pubkey
    user: Pubkey
    kind: int
    vote: bool
    voted_at: int
    bump: int

    def pack(self) -> bytes:
        return (
            bytes.fromhex(ACCOUNT["VoteRecord"])
            + bytes(self.market)
            + bytes(self.user)
            + bytes([self.kind])
            + flag(self.vote)
            + i64(self.voted_at)
            + bytes([self.bump])
        )
