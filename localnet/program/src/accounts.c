#include "accounts.h"

#include "addresses.h"
#include "system.h"

Result check_arguments(const Context *context)
{
    return context->data.failed ? raise(ErrInstructionDidNotDeserialize) : OK;
}

/* --- reading --- */

static Account *next_account(Context *context, const char *name)
{
    if (context->next_account == context->account_count)
        return 0;
    Account *account = &context->accounts[context->next_account++];
    account->name = name;
    return account;
}

Result next_new(Context *context, const char *name, Account **account)
{
    *account = next_account(context, name);
    return *account ? OK : raise(ErrAccountNotEnoughKeys);
}

Result next_any(Context *context, const char *name, Account **account)
{
    *account = next_account(context, name);
    return *account ? OK : raise_for(ErrAccountNotEnoughKeys, name);
}

Result next_signer(Context *context, const char *name, Account **account)
{
    TRY(next_any(context, name, account));
    return (*account)->signer ? OK : raise_for(ErrAccountNotSigner, name);
}

Result next_config(Context *context, GlobalConfig *config)
{
    Account *account;
    TRY(next_any(context, "global_config", &account));
    return load_config(context, account, config);
}

Result next_market(Context *context, Market *market)
{
    Account *account;
    TRY(next_any(context, "market", &account));
    return load_market(context, account, market);
}

Result next_position(Context *context, UserPosition *position)
{
    Account *account;
    TRY(next_any(context, "position", &account));
    return load_position(context, account, position);
}

Result next_system_program(Context *context)
{
    Account *account;
    TRY(next_any(context, "system_program", &account));
    if (!same_key(account->key, &SYSTEM_PROGRAM))
        return raise_for_keys(ErrInvalidProgramId, account->name, account->key, &SYSTEM_PROGRAM);
    return account->executable ? OK : raise_for(ErrInvalidProgramExecutable, account->name);
}

/* --- creating --- */

Result init_config(Context *context, Account *account, Account *payer, GlobalConfig *config)
{
    Seeds seeds;
    config_seeds(&seeds);
    TRY(check_canonical_address(context, account, &seeds));
    TRY(create_account(context, payer, account, &seeds, CONFIG_SIZE));
    new_config(account, config);
    config->bump = seeds.bump;
    return check_writable(account);
}

Result init_market(Context *context, Account *account, Account *payer, const u8 *market_id,
                   Market *market)
{
    Seeds seeds;
    market_seeds(&seeds, market_id);
    TRY(check_canonical_address(context, account, &seeds));
    TRY(create_account(context, payer, account, &seeds, MARKET_SIZE));
    new_market(account, market);
    market->bump = seeds.bump;
    return check_writable(account);
}

Result init_vote(Context *context, Account *payer, const Market *market, VoteRecord *vote)
{
    Seeds seeds;
    vote_seeds(&seeds, market->account->key, payer->key, &vote->kind);
    TRY(check_canonical_address(context, vote->account, &seeds));
    TRY(create_account(context, payer, vote->account, &seeds, VOTE_SIZE));
    vote->bump = seeds.bump;
    return check_writable(vote->account);
}

static Result check_existing_position(const Context *context, const Account *account)
{
    if (*account->data_size != POSITION_SIZE)
        return raise_for(ErrConstraintSpace, account->name);
    if (!same_key(account->owner, context->program_id))
        return raise_for_keys(ErrConstraintOwner, account->name, account->owner,
                              context->program_id);
    if (*account->lamports < rent_minimum(POSITION_SIZE))
        return raise_for(ErrConstraintRentExempt, account->name);
    return check_writable(account);
}

Result init_position_if_needed(Context *context, const Market *market, Account *user,
                               UserPosition *position, u8 *bump)
{
    Account *account = position->account;
    Seeds seeds;
    position_seeds(&seeds, market->account->key, user->key);
    TRY(check_canonical_address(context, account, &seeds));
    if (same_key(account->owner, &SYSTEM_PROGRAM)) {
        TRY(create_account(context, user, account, &seeds, POSITION_SIZE));
        new_position(account, position);
    } else {
        TRY(load_position(context, account, position));
    }
    *bump = seeds.bump;
    return check_existing_position(context, account);
}

/* --- constraints --- */

Result check_config(const Context *context, const GlobalConfig *config)
{
    Seeds seeds;
    config_seeds(&seeds);
    return check_address(context, config->account, &seeds, config->bump);
}

Result check_market(const Context *context, const Market *market)
{
    Seeds seeds;
    market_seeds(&seeds, market->market_id);
    return check_address(context, market->account, &seeds, market->bump);
}

Result check_position(const Context *context, const UserPosition *position, const Market *market,
                      const Account *user)
{
    Seeds seeds;
    position_seeds(&seeds, market->account->key, user->key);
    return check_address(context, position->account, &seeds, position->bump);
}

Result check_writable(const Account *account)
{
    return account->writable ? OK : raise_for(ErrConstraintMut, account->name);
}

Result check_belongs(const Account *account, const Key *owner, const Account *claimant,
                     Error error)
{
    if (!same_key(owner, claimant->key))
        return raise_for_keys(error, account->name, owner, claimant->key);
    return OK;
}

Result constrain(const Account *account, bool condition, Error error)
{
    return condition ? OK : raise_for(error, account->name);
}
