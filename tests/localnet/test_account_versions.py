"""The account table can be read as of every recent slot, after writes, forks and restarts."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from localnet.accounts import Account, AccountTable, Key

KEYS = [bytes([number] * 32) for number in range(3)]
OWNERS = [bytes([200 + number] * 32) for number in range(2)]
accounts = st.none() | st.builds(
    Account, st.integers(1, 100), st.sampled_from(OWNERS), st.binary(max_size=3)
)
World = dict[Key, Account]


class Versions(RuleBasedStateMachine):
    """Compares the table with whole copies of the world, one for each slot."""

    @initialize(first=st.dictionaries(st.sampled_from(KEYS), accounts))
    def begin(self, first: dict[Key, Account | None]) -> None:
        self.table = AccountTable()
        self.world: World = {key: account for key, account in first.items() if account}
        self.table.load(self.world.items(), ())
        self.ends: dict[int, World] = {0: dict(self.world)}
        self.floor = 0
        self.slot = 1
        self.table.begin(self.slot)

    @rule(writes=st.lists(st.tuples(st.sampled_from(KEYS), accounts), max_size=4))
    def write(self, writes: list[tuple[Key, Account | None]]) -> None:
        for key, account in writes:
            self.table.write(key, account)
            self.world.pop(key, None)
            if account is not None:
                self.world[key] = account

    @rule(slots=st.lists(st.tuples(st.sampled_from(KEYS), accounts), max_size=4))
    def close(self, slots: list[tuple[Key, Account | None]]) -> None:
        """Close the open slot and then one more for each write."""
        for write in [None, *slots]:
            if write is not None:
                self.write([write])
            self.ends[self.slot] = dict(self.world)
            self.slot += 2
            self.table.begin(self.slot)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        self.floor = data.draw(st.sampled_from([s for s in self.ends if s >= self.floor]))
        self.table.prune(self.floor)
        self.ends = {slot: world for slot, world in self.ends.items() if slot >= self.floor}

    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        base = data.draw(st.sampled_from(sorted(self.ends)))
        before = dict(self.world)
        touched = self.table.rollback(base)
        self.world = dict(self.ends[base])
        self.ends = {slot: world for slot, world in self.ends.items() if slot <= base}
        assert {k for k in KEYS if before.get(k) != self.world.get(k)} <= set(touched)
        self.slot += 1
        self.table.begin(self.slot)

    @precondition(lambda self: self.world == self.ends.get(max(self.ends)))
    @rule()
    def restart(self) -> None:
        undo = [(slot, dict(self.table.changed(slot))) for slot in self.ends if slot > self.floor]
        current = dict(self.table.current)
        self.table = AccountTable()
        self.table.load(current.items(), undo)
        self.slot = max(self.ends) + 1
        self.table.begin(self.slot)

    @invariant()
    def every_version_is_right(self) -> None:
        if not hasattr(self, "table"):
            return
        for slot, world in [*self.ends.items(), (self.slot, self.world)]:
            assert {k: a for k in KEYS if (a := self.table.at(k, slot))} == world
            for owner in OWNERS:
                owned = sorted((k, a) for k, a in world.items() if a.owner == owner)
                assert self.table.owned_by(owner, slot) == owned


Versions.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestVersions = Versions.TestCase
