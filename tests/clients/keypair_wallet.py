"""A wallet for the tests of the Python client."""

from solders.keypair import Keypair


class KeypairWallet:
    """A wallet of a key in memory."""

    def __init__(self) -> None:
        self.key = Keypair()

    @property
    def address(self) -> str:
        return str(self.key.pubkey())

    def sign_message(self, message: bytes) -> bytes:
        return bytes(self.key.sign_message(message))

    def sign_transaction(self, transaction: bytes) -> bytes:
        return transaction + b" signed"
