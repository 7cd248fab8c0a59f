/*
 * Vote counts as the backend reports them; the chain never compares them with the vote records.
 */
#pragma once

#include "state.h"

/* OverflowError when the sum leaves 32 bits. */
Result set_votes(Votes *votes, u32 agree, u32 disagree);

/* floor(agree * 10000 / total) basis points; 0 of no votes. */
u64 share_of_votes(const Votes *votes);
