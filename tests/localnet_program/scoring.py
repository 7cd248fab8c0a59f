"""The market maker in Python's integers, from its description: an oracle for random pools."""

P = 10**9
LN_2 = 693_147_180
MAX = 2**64


class Wrong(Exception):
    """The specification requires error `code` here."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def mul(a: int, b: int) -> int:
    return fit(a * b // P)


def div(a: int, b: int) -> int:
    if b == 0:
        raise Wrong(6035)
    return fit(a * P // b)


def fit(x: int) -> int:
    if x >= MAX:
        raise Wrong(6033)
    return x


def exp(x: int) -> int:
    if x > 20 * P:
        raise Wrong(6039)
    square = mul(x, x)
    return div(P + x // 2 + square // 12, P - x // 2 + square // 12)


def ln_from_one(x: int) -> int:
    doublings = 0
    while x >= 2 * P:
        x //= 2
        doublings += 1
    y = div(x - P, x + P)
    y2 = mul(y, y)
    y3 = mul(y2, y)
    return 2 * (y + y3 // 3 + mul(y3, y2) // 5) + doublings * LN_2


def cost(b: int, yes: int, no: int) -> int:
    if b < 100 * P:
        raise Wrong(6042)
    x, y = div(yes, b), div(no, b)
    return mul(b, fit(max(x, y) + ln_from_one(P + div(P, exp(abs(x - y))))))


def price(b: int, yes: int, no: int) -> int:
    if b < 100 * P:
        raise Wrong(6042)
    power = exp(div(abs(yes - no), b))
    return div(power, power + P) if yes >= no else div(P, P + power)


def buy(b: int, yes: int, no: int, side: int, budget: int) -> tuple[int, int]:
    before = cost(b, yes, no)

    def added(shares: int) -> int:
        fit((yes if side else no) + shares)
        after = cost(b, yes + shares, no) if side else cost(b, yes, no + shares)
        if after < before:
            raise Wrong(6034)
        return after - before

    low, high = 0, fit(20 * b)
    for _ in range(50):
        if high - low <= 1_000_000:
            break
        middle = low + (high - low) // 2
        asked = added(middle)
        if asked == budget:
            return middle, asked
        if asked < budget:
            low = middle + 1
        else:
            high = middle
    return low, added(low)
