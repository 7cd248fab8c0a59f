"""Send one message about alerts to one receiver: Slack-compatible webhooks, mail, and Apprise.

Addresses of webhooks allow posting, so they are secrets: no error, log or row contains one. A
channel's name is the kind of receiver and, where there are several, a digest of its address.

The webhook's body is what Slack's incoming webhooks accept, ``{"text": "…"}``, as do others
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from email.message import EmailMessage
from hashlib import sha256
from typing import Final, Protocol

import apprise
import httpx
import msgspec
from pydantic import SecretStr

from zmart_pipelines.settings import Settings

log = logging.getLogger(__name__)

# httpx and urllib3 log each request with its address, and apprise names its receivers.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("apprise").setLevel(logging.CRITICAL)
logging.getLogger("urllib3").setLevel(logging.ERROR)

TIMEOUT_SECONDS: Final = 5.0
_LONGEST: Final = 30_000


class OutgoingMessage(msgspec.Struct, frozen=True):
    """A message as it is sent.

    Attributes:
        number: Its row, which tells a repetition apart from another message.
        title: First line.
        body: The rest.
        is_repeated: Whether an earlier attempt may have reached the receiver.
    """

    number: int
    title: str
    body: str
    is_repeated: bool = False

    @property
    def heading(self) -> str:
        """The first line with the number, and whether it may be a repetition."""
        again = " (repeated: whether it was received is unknown)" if self.is_repeated else ""
        return f"ZMART #{self.number}: {self.title}{again}"


class SendingFailed(Exception):
    """The receiver did not accept the message.

    Attributes:
        pause: Seconds to wait that the receiver asked for; 0 if it did not.
    """

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        """Say why, without an address."""
        self.pause = pause
        super().__init__(reason)


class Poster(Protocol):
    """Sends messages to one receiver."""

    @property
    def channel(self) -> str:
        """Its name in rows and logs."""

    def send(self, message: OutgoingMessage) -> None:
        """Return once the receiver has accepted the message.

        Raises:
            SendingFailed: It has not.
        """


def posters(settings: Settings) -> tuple[Poster, ...]:
    """Return a poster for each receiver that the settings name."""
    found: list[Poster] = []
    if settings.alert_webhook_url is not None:
        found.append(WebhookPoster(settings.alert_webhook_url))
    if settings.alert_smtp_host is not None:
        found.append(MailPoster(settings))
    found += [ApprisePoster(SecretStr(url)) for url in settings.alert_url_list]
    return tuple(found)


class WebhookPoster:
    """Posts to a Slack-compatible webhook."""

    channel: Final = "webhook"

    def __init__(self, address: SecretStr) -> None:
        """Take the address."""
        self._address = address

    def send(self, message: OutgoingMessage) -> None:
        """Post it; see ``Poster.send``."""
        text = _slack_text(f"{message.heading}\n{message.body}")
        try:
            answer = httpx.post(
                self._address.get_secret_value(),
                json={"text": text},
                timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"the webhook could not be reached: {type(error).__name__}"
            raise SendingFailed(reason) from None
        if not answer.is_success:
            asked = answer.headers.get("Retry-After", "")
            pause = float(asked) if asked.isascii() and asked.isdigit() else 0.0
            raise SendingFailed(f"the webhook answered {answer.status_code}", pause)


def _slack_text(text: str) -> str:
    """Return the text with Slack's three special characters escaped."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    return text[:_LONGEST]


class MailPoster:
    """Sends mail through an SMTP server."""

    channel: Final = "mail"

    def __init__(self, settings: Settings) -> None:
        """Take server, credentials and addresses from the settings."""
        self._settings = settings

    def send(self, message: OutgoingMessage) -> None:
        """Send it to all recipients; see ``Poster.send``.

        The Message-ID is the same for each attempt, so that mail servers drop a repetition.
        """
        settings = self._settings
        mail = EmailMessage()
        mail["From"] = settings.alert_mail_from
        mail["To"] = ", ".join(settings.alert_mail_recipients)
        mail["Subject"] = " ".join(message.heading.split())
        domain = settings.alert_mail_from.rpartition("@")[2]
        mail["Message-ID"] = f"<alert-message-{message.number}@{domain}>"
        mail.set_content(message.body[:_LONGEST])
        try:
            with self._connect() as server:
                refused = server.send_message(mail)
        except smtplib.SMTPResponseException as error:
            # Its text is the server's and may repeat what it was sent.
            raise SendingFailed(f"the mail server answered {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            reason = f"the mail server could not be used: {type(error).__name__}"
            raise SendingFailed(reason) from None
        if refused:
            # The others have it: sending it again would reach them twice.
            log.warning("the mail server refused %d of the recipients", len(refused))

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        host, port = settings.alert_smtp_host or "", settings.alert_smtp_port
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if settings.alert_smtp_security == "tls":
            server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
        try:
            if settings.alert_smtp_security == "starttls":
                server.starttls(context=context)
            if settings.alert_smtp_user is not None and settings.alert_smtp_password is not None:
                server.login(
                    settings.alert_smtp_user.get_secret_value(),
                    settings.alert_smtp_password.get_secret_value(),
                )
        except BaseException:
            server.close()
            raise
        return server


class ApprisePoster:
    """Sends to a receiver that the library Apprise knows by its URL."""

    def __init__(self, url: SecretStr) -> None:
        """Take the URL; an unknown one is found out when it is sent to."""
        self._url = url
        clear = url.get_secret_value()
        scheme = clear.partition(":")[0][:20]
        self._channel = f"{scheme}-{sha256(clear.encode()).hexdigest()[:8]}"

    @property
    def channel(self) -> str:
        """Its scheme with a digest of its URL."""
        return self._channel

    def send(self, message: OutgoingMessage) -> None:
        """Send it; see ``Poster.send``."""
        receiver = apprise.Apprise()
        if not receiver.add(self._url.get_secret_value()):
            raise SendingFailed("Apprise does not know this kind of URL in ALERT_URLS")
        # Apprise reports success or failure and logs the reason, which may contain the URL.
        if not receiver.notify(
            title=message.heading, body=message.body[:_LONGEST], timeout=TIMEOUT_SECONDS
        ):
            raise SendingFailed("Apprise could not send it")
