#include "fixed.h"

typedef struct {
    u64 high;
    u64 low;
} Wide;

static void multiply(u64 a, u64 b, Wide *product)
{
    const u64 half = 0xffffffff;
    u64 low = (a & half) * (b & half);
    u64 cross = (a >> 32) * (b & half);
    /* Hides the pattern from the compiler, which would replace it by a 128-bit library call. */
    __asm__("" : "+r"(cross));
    u64 middle = cross + (low >> 32);
    u64 carry = (a & half) * (b >> 32) + (middle & half);
    product->high = (a >> 32) * (b >> 32) + (middle >> 32) + (carry >> 32);
    product->low = carry << 32 | (low & half);
}

Result mul(u64 a, u64 b, u64 *product)
{
    Wide wide;
    multiply(a, b, &wide);
    REQUIRE(wide.high == 0, ErrOverflowError);
    *product = wide.low;
    return OK;
}

static u64 leading_zeros(u64 x)
{
    u64 count = 0;
    for (u64 width = 32; width; width >>= 1) {
        if (x >> (64 - width) == 0) {
            count += width;
            x <<= width;
        }
    }
    return count;
}

/* One 32-bit digit of the quotient, and what remains: Knuth's algorithm D for a divisor of two
 * digits whose top bit is set. */
static u64 next_digit(u64 *remainder, u64 divisor, u64 digit)
{
    u64 top = divisor >> 32, bottom = divisor & 0xffffffff;
    u64 quotient = *remainder / top;
    u64 rest = *remainder % top;
    while (quotient >> 32 || quotient * bottom > (rest << 32 | digit)) {
        quotient--;
        rest += top;
        if (rest >> 32)
            break;
    }
    *remainder = (*remainder << 32 | digit) - quotient * divisor;
    return quotient;
}

Result mul_div(u64 a, u64 b, u64 c, u64 *quotient)
{
    REQUIRE(c != 0, ErrDivisionByZero);
    Wide n;
    multiply(a, b, &n);
    if (n.high == 0) {
        *quotient = n.low / c;
        return OK;
    }
    REQUIRE(n.high < c, ErrOverflowError);
    if (c >> 32 == 0) {
        u64 upper = n.high << 32 | n.low >> 32;
        u64 lower = (upper % c) << 32 | (n.low & 0xffffffff);
        *quotient = (upper / c) << 32 | lower / c;
        return OK;
    }
    u64 shift = leading_zeros(c);
    if (shift) {
        n.high = n.high << shift | n.low >> (64 - shift);
        n.low <<= shift;
        c <<= shift;
    }
    u64 upper = next_digit(&n.high, c, n.low >> 32);
    u64 lower = next_digit(&n.high, c, n.low & 0xffffffff);
    *quotient = upper << 32 | lower;
    return OK;
}

Result fixed_exp(u64 x, u64 *result)
{
    REQUIRE(x <= MAX_EXPONENT, ErrExponentTooLarge);
    u64 square;
    TRY(fixed_mul(x, x, &square));
    u64 even = ONE + square / 12;
    u64 odd = x / 2; /* always less: 1 + x²/12 - x/2 has its minimum, 1/4, at x = 3 */
    return fixed_div(even + odd, even - odd, result);
}

Result fixed_ln(u64 x, u64 *result)
{
    REQUIRE(x != 0, ErrInvalidInput);
    if (x == ONE) {
        *result = 0;
        return OK;
    }
    i64 logarithm = 0;
    for (; x >= 2 * ONE; x /= 2)
        logarithm += LN_2;
    for (; x < ONE / 2; x *= 2)
        logarithm -= LN_2;
    if (x < ONE)
        TRY(fixed_div(ONE, x, &x));
    u64 y, y2, y3, y5;
    TRY(fixed_div(x - ONE, x + ONE, &y));
    TRY(fixed_mul(y, y, &y2));
    TRY(fixed_mul(y2, y, &y3));
    TRY(fixed_mul(y3, y2, &y5));
    logarithm += 2 * (y + y3 / 3 + y5 / 5);
    REQUIRE(logarithm >= 0, ErrUnderflowError);
    *result = logarithm;
    return OK;
}
