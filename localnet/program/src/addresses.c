#include "addresses.h"

static void add_seed(Seeds *seeds, const void *at, u64 size)
{
    seeds->parts[seeds->count++] = (Slice){.at = at, .size = size};
}

#define ADD_LITERAL(seeds, literal) add_seed(seeds, literal, sizeof literal - 1)

static void add_bump(Seeds *seeds)
{
    add_seed(seeds, &seeds->bump, sizeof seeds->bump);
}

void config_seeds(Seeds *seeds)
{
    seeds->count = 0;
    ADD_LITERAL(seeds, "global-config");
    add_bump(seeds);
}

void market_seeds(Seeds *seeds, const u8 *market_id)
{
    seeds->count = 0;
    ADD_LITERAL(seeds, "market");
    add_seed(seeds, market_id, 32);
    add_bump(seeds);
}

void position_seeds(Seeds *seeds, const Key *market, const Key *user)
{
    seeds->count = 0;
    ADD_LITERAL(seeds, "position");
    add_seed(seeds, market, sizeof *market);
    add_seed(seeds, user, sizeof *user);
    add_bump(seeds);
}

void vote_seeds(Seeds *seeds, const Key *market, const Key *user, const u8 *kind)
{
    seeds->count = 0;
    ADD_LITERAL(seeds, "vote");
    add_seed(seeds, market, sizeof *market);
    add_seed(seeds, user, sizeof *user);
    add_seed(seeds, kind, sizeof *kind);
    add_bump(seeds);
}

void find_address(const Context *context, Seeds *seeds, Key *address)
{
    sol_try_find_program_address(seeds->parts, seeds->count - 1, context->program_id, address,
                                 &seeds->bump);
}

Result check_canonical_address(const Context *context, const Account *account, Seeds *seeds)
{
    Key address;
    find_address(context, seeds, &address);
    if (!same_key(account->key, &address))
        return raise_for_keys(ErrConstraintSeeds, account->name, account->key, &address);
    return OK;
}

Result check_address(const Context *context, const Account *account, Seeds *seeds, u8 bump)
{
    Key address;
    seeds->bump = bump;
    if (sol_create_program_address(seeds->parts, seeds->count, context->program_id, &address) != 0)
        return raise_for(ErrConstraintSeeds, account->name);
    if (!same_key(account->key, &address))
        return raise_for_keys(ErrConstraintSeeds, account->name, account->key, &address);
    return OK;
}
