#include "errors.h"

enum { LINE_SIZE = 512 };

typedef struct {
    char text[LINE_SIZE];
    u64 size;
} Line;

static void append(Line *line, const char *text)
{
    while (*text && line->size < LINE_SIZE)
        line->text[line->size++] = *text++;
}

static void log_and_clear(Line *line)
{
    sol_log_(line->text, line->size);
    line->size = 0;
}

static const char *describe(Error error)
{
    switch (error) {
#define DESCRIPTION(number, name, message) \
    case Err##name:                        \
        return "Error Code: " #name ". Error Number: " #number ". Error Message: " message ".";
        FRAMEWORK_ERRORS(DESCRIPTION)
        PROGRAM_ERRORS(DESCRIPTION)
#undef DESCRIPTION
    }
    return "";
}

static Result log_error(Error error, const char *origin, const char *subject, const char *stop)
{
    Line line;
    line.size = 0;
    append(&line, "AnchorError ");
    append(&line, origin);
    append(&line, subject);
    append(&line, stop);
    append(&line, describe(error));
    log_and_clear(&line);
    return error;
}

Result raise(Error error)
{
    return log_error(error, "occurred. ", "", "");
}

Result raise_at(Error error, const char *place)
{
    return log_error(error, "thrown in ", place, ". ");
}

Result raise_for(Error error, const char *account_name)
{
    return log_error(error, "caused by account: ", account_name, ". ");
}

Result raise_for_keys(Error error, const char *account_name, const Key *left, const Key *right)
{
    raise_for(error, account_name);
    log_line("Left:");
    sol_log_pubkey(left);
    log_line("Right:");
    sol_log_pubkey(right);
    return error;
}

void log_line(const char *text)
{
    Line line;
    line.size = 0;
    append(&line, text);
    log_and_clear(&line);
}
