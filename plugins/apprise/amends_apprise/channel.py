"""Tells operators, by the addresses of config or by one of their own."""

from __future__ import annotations

import asyncio

from amends import AnyRequest, Context, Message, Receipt, Rejected, Unavailable, Unsupported
from amends_apprise.config import AppriseConfig


class Apprise:
    """Notices by apprise. One service that took it is enough: it was told, and a repetition would tell it twice."""

    def __init__(self, config: AppriseConfig, context: Context) -> None:
        self._config = config

    async def message(self, request: Message) -> Receipt:
        """Tell the person whose address is in `personal.address` (`slack://…`), else those in config.

        Raises `Rejected` where there is no address, and `Unavailable` where no service said yes: what became of
        the notice is then unknown.
        """
        urls = self._urls(request)
        if not urls:
            raise Rejected(
                "apprise: there is no address", hint="Name one under urls, or in the approver's `to`."
            )
        title = " ".join(request.subject.split())
        if not (title or request.text.strip()):
            raise Rejected("apprise: there is nothing to say")
        answers = await asyncio.gather(*(self._tell(url, title, request.text) for url in urls))
        took = [_kind(url) for url, answer in zip(urls, answers, strict=True) if answer]
        if took:
            return Receipt(ref=", ".join(took))
        if all(answer is None for answer in answers):
            raise Rejected("apprise: the address is none that apprise knows")
        raise Unavailable(f"apprise: {', '.join(map(_kind, urls))} did not say that the notice was taken")

    async def find(self, request: AnyRequest) -> Receipt | None:
        raise Unsupported("apprise: its services cannot be asked what they took")

    async def aclose(self) -> None:
        """Nothing stays open between notices."""

    def _urls(self, request: Message) -> list[str]:
        own = request.personal.address.strip() if request.personal else ""
        if "://" in own:
            return [own]
        if (
            own and len(own.split()) == 1
        ):  # a slip in an approver's `to`: their code must not go to everybody instead
            raise Rejected("apprise: the address is none that apprise knows", hint="Write it as service://….")
        return [url.get_secret_value() for url in self._config.urls]

    async def _tell(self, url: str, title: str, text: str) -> bool | None:
        from amends_apprise.services import notify

        return await asyncio.to_thread(notify, url, title=title, text=text)


def _kind(url: str) -> str:
    """What comes before `://`: the only part of an address that may be shown."""
    return url.partition("://")[0].lower()[:20]
