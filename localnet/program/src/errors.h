/*
 * Error numbers, and the log line that goes with each.
 *
 * An instruction stops at its first error. The line is written where the error is raised, in the
 * three forms of the Anchor framework: for an account that breaks a constraint, for a check in a
 * handler ("thrown in file:line"), and bare for all others.
 */
#pragma once

#include "sbf.h"

/* clang-format off */
#define FRAMEWORK_ERRORS(X)                                                                       \
    X(101,  InstructionFallbackNotFound,  "Fallback functions are not supported")                 \
    X(102,  InstructionDidNotDeserialize, "The program could not deserialize the given instruction") \
    X(2000, ConstraintMut,                "A mut constraint was violated")                        \
    X(2001, ConstraintHasOne,             "A has one constraint was violated")                    \
    X(2004, ConstraintOwner,              "An owner constraint was violated")                     \
    X(2005, ConstraintRentExempt,         "A rent exemption constraint was violated")             \
    X(2006, ConstraintSeeds,              "A seeds constraint was violated")                      \
    X(2019, ConstraintSpace,              "A space constraint was violated")                      \
    X(3001, AccountDiscriminatorNotFound, "No discriminator was found on the account")            \
    X(3002, AccountDiscriminatorMismatch, "Account discriminator did not match what was expected") \
    X(3003, AccountDidNotDeserialize,     "Failed to deserialize the account")                    \
    X(3004, AccountDidNotSerialize,       "Failed to serialize the account")                      \
    X(3005, AccountNotEnoughKeys,         "Not enough account keys given to the instruction")     \
    X(3007, AccountOwnedByWrongProgram,   "The given account is owned by a different program than expected") \
    X(3008, InvalidProgramId,             "Program ID was not as expected")                       \
    X(3009, InvalidProgramExecutable,     "Program account is not executable")                    \
    X(3010, AccountNotSigner,             "The given account did not sign")                       \
    X(3012, AccountNotInitialized,        "The program expected this account to be already initialized") \
    X(4101, TryingToInitPayerAsProgramAccount, "You cannot/should not initialize the payer account as a program account")

#define PROGRAM_ERRORS(X)                                                                         \
    X(6000, InvalidFeeConfiguration,  "Invalid fee configuration: total fees exceed 100%")        \
    X(6001, InvalidThreshold,         "Invalid threshold: must be ≤ 10000 (100%)")                \
    X(6002, InvalidTimeLimit,         "Invalid time limit: must be positive")                     \
    X(6003, AlreadyInitialized,       "Global config already initialized")                        \
    X(6004, InvalidFeeStructure,      "Invalid fee structure: total fees exceed 100%")            \
    X(6005, InvalidGlobalConfig,      "Invalid global config: must be canonical PDA")             \
    X(6006, InvalidStateTransition,   "Invalid state transition")                                 \
    X(6007, InvalidMarketState,       "Market not in required state")                             \
    X(6008, MarketPaused,             "Market is paused")                                         \
    X(6009, MarketCancelled,          "Market is cancelled")                                      \
    X(6010, ProtocolPaused,           "Protocol is paused")                                       \
    X(6011, CannotCancelMarket,       "Cannot cancel market in current state")                    \
    X(6012, MarketAlreadyCancelled,   "Market is already cancelled")                              \
    X(6013, ZeroAmount,               "Trading amount must be greater than zero")                 \
    X(6014, InsufficientShares,       "Insufficient shares to sell")                              \
    X(6015, SlippageExceeded,         "Slippage tolerance exceeded")                              \
    X(6016, InsufficientLiquidity,    "Insufficient liquidity")                                   \
    X(6017, InvalidLiquidity,         "Invalid liquidity amount")                                 \
    X(6018, TradeTooSmall,            "Trade amount below minimum (0.00001 SOL)")                 \
    X(6019, ResolutionPeriodNotEnded, "Resolution period not ended")                              \
    X(6020, DisputePeriodEnded,       "Dispute period ended")                                     \
    X(6021, NoResolutionProposed,     "No resolution proposed")                                   \
    X(6022, AlreadyClaimed,           "Winnings already claimed")                                 \
    X(6023, NoWinnings,               "No winnings to claim")                                     \
    X(6024, NoVotesRecorded,          "No votes recorded")                                        \
    X(6025, InsufficientVotes,        "Insufficient votes to meet threshold")                     \
    X(6026, AlreadyResolved,          "Market already resolved")                                  \
    X(6027, DisputePeriodNotEnded,    "Dispute period not ended")                                 \
    X(6028, AlreadyDisputed,          "Already disputed")                                         \
    X(6029, Unauthorized,             "Unauthorized")                                             \
    X(6030, InvalidAdmin,             "Invalid admin")                                            \
    X(6031, InvalidResolver,          "Invalid resolver")                                         \
    X(6032, InsufficientReputation,   "Insufficient reputation")                                  \
    X(6033, OverflowError,            "Arithmetic overflow")                                      \
    X(6034, UnderflowError,           "Arithmetic underflow")                                     \
    X(6035, DivisionByZero,           "Division by zero")                                         \
    X(6036, InvalidFixedPoint,        "Invalid fixed-point value")                                \
    X(6037, InvalidLogarithm,         "Logarithm of non-positive number")                         \
    X(6038, ExponentialOverflow,      "Exponential overflow")                                     \
    X(6039, ExponentTooLarge,         "Exponent too large")                                       \
    X(6040, InvalidInput,             "Invalid input value")                                      \
    X(6041, BoundedLossExceeded,      "Market loss exceeds theoretical maximum of b * ln(2)")     \
    X(6042, InvalidBParameter,        "Invalid LMSR b parameter")                                 \
    X(6043, InvalidMarketId,          "Invalid market ID")                                        \
    X(6044, InvalidTimestamp,         "Invalid timestamp")                                        \
    X(6045, InvalidIpfsHash,          "Invalid IPFS hash")                                        \
    X(6046, InsufficientFunds,        "Insufficient funds")                                       \
    X(6047, WouldBreakRentExemption,  "Transfer would leave account below rent-exempt minimum")   \
    X(6048, Reentrant,                "Reentrancy detected - operation already in progress")      \
    X(6049, InvalidReservedField,     "Reserved fields must be zero")                             \
    X(6050, AlreadyVoted,             "User already voted")                                       \
    X(6051, InvalidStateForVoting,    "Invalid state for voting")
/* clang-format on */

#define ERROR_CONSTANT(number, name, message) Err##name = number,
typedef enum { FRAMEWORK_ERRORS(ERROR_CONSTANT) PROGRAM_ERRORS(ERROR_CONSTANT) } Error;
#undef ERROR_CONSTANT

/* Each writes its line and returns the error's number. */
Result raise(Error error);
Result raise_at(Error error, const char *place);
Result raise_for(Error error, const char *account_name);
Result raise_for_keys(Error error, const char *account_name, const Key *left, const Key *right);

#define TEXT_OF_(token) #token
#define TEXT_OF(token) TEXT_OF_(token)
#define HERE __FILE__ ":" TEXT_OF(__LINE__)

/* A check inside a handler. */
#define REQUIRE(condition, error)          \
    do {                                   \
        if (!(condition))                  \
            return raise_at(error, HERE);  \
    } while (0)

/* "Program log: <text>" */
void log_line(const char *text);
