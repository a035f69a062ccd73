"""What arrives at the customer's server: one plain mail, its headers safe, its Message-ID the key."""

from __future__ import annotations

import pytest
from tests.plugins.mail.conftest import TO, Server, message

from amends import Message, Personal, Rejected
from amends_mail.letter import message_id


async def test_a_mail_arrives_as_it_was_written(server: Server) -> None:
    channel = server.channel(sender_name="Sample Shop", reply_to="answers@shop.example.invalid")
    receipt = await channel.message(message())

    [mail], [envelope] = server.mails, server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("service@shop.example.invalid", [TO])
    assert mail["Message-ID"] == receipt.ref == "<amsamplekey0017@shop.example.invalid>"
    assert mail["From"] == "Sample Shop <service@shop.example.invalid>"
    assert mail["To"] == TO
    assert mail["Reply-To"] == "answers@shop.example.invalid"
    assert mail["Subject"] == "Your order 1001 is late"
    assert mail["Date"] == "Thu, 20 Aug 2026 09:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "en"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().splitlines() == ["Dear customer,", "we are late, and sorry."]


async def test_chinese_crosses_a_server_that_knows_seven_bits_only(server: Server) -> None:
    text = "您好，您的订单 1001 未能按时发货，非常抱歉。" * 30
    await server.channel(sender_name="示例店铺").message(
        message(text=text, subject="订单 1001 未能按时发货：说明与补偿" * 3, language="zh-CN")
    )
    content = server.envelopes[0].content
    assert isinstance(content, bytes) and content.isascii()
    assert max(len(line) for line in content.splitlines()) <= 998
    [mail] = server.mails
    assert mail.get_content().rstrip() == text
    assert mail["Subject"] == "订单 1001 未能按时发货：说明与补偿" * 3
    assert mail["From"].addresses[0].display_name == "示例店铺"


async def test_lines_of_dots_and_mixed_line_ends_survive(server: Server) -> None:
    await server.channel().message(message(text=".\n..\r\n.hidden\rend\n" + "x" * 2000))
    assert server.mails[0].get_content().splitlines()[:3] == [".", "..", ".hidden"]
    assert "x" * 2000 in server.mails[0].get_content()


@pytest.mark.parametrize("evil", ["\r\n", "\n", "\r", "\x00", "\x85", "\u2028", "\n\n"])
async def test_no_value_becomes_another_header(server: Server, evil: str) -> None:
    hidden = f"x{evil}Bcc: other@example.invalid{evil}X-Evil: 1"
    await server.channel().message(
        message(subject=hidden, key=hidden, language=hidden, order=hidden, text=hidden)
    )
    [mail], [envelope] = server.mails, server.envelopes
    assert envelope.rcpt_tos == [TO]
    wanted = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "MIME-Version"]
    assert set(mail.keys()) - {"X-Peer", "X-MailFrom", "X-RcptTo", "Content-Transfer-Encoding"} == set(wanted)


@pytest.mark.parametrize(
    "address",
    [
        "", "nobody", "@example.invalid", "a@", "two@at@example.invalid", "a b@example.invalid",
        "sample@example.invalid\r\nBcc: other@example.invalid", "sample@example.invalid>\r\nDATA",
        "sample@example.invalid, other@example.invalid", "<sample@example.invalid>", '"a\r\nb"@example.invalid',
        "sa***17@example.invalid", "sample@example..invalid", "größe@example.invalid", "sample@" + "a" * 300,
    ],
)  # fmt: skip
async def test_an_unusable_address_is_refused_before_anything_is_sent(server: Server, address: str) -> None:
    who = Personal(name="Sample Customer 0017", email=address)
    with pytest.raises(Rejected) as caught:
        await server.channel().message(message(personal=who))
    assert server.protocol is None
    assert not address or address not in str(caught.value)


async def test_a_domain_in_another_script_goes_out_in_punycode(server: Server) -> None:
    await server.channel().message(message(personal=Personal(email="sample@bücher.example")))
    assert server.envelopes[0].rcpt_tos == ["sample@xn--bcher-kva.example"]


async def test_without_a_subject_the_order_is_the_subject(server: Server) -> None:
    await server.channel().message(message(subject=""))
    assert server.mails[0]["Subject"] == "1001"


async def test_text_that_no_mail_can_hold_is_refused(server: Server) -> None:
    lone_surrogate = Message.model_construct(**(dict(message()) | {"text": "half a sign: \ud83d"}))
    with pytest.raises(Rejected) as caught:
        await server.channel().message(lone_surrogate)
    assert not server.envelopes and caught.value.__suppress_context__


def test_a_key_names_the_mail_whatever_it_looks_like() -> None:
    assert message_id("amabc", "shop.example") == "<amabc@shop.example>"
    odd = [message_id(key, "shop.example") for key in ("a b", "a\r\nb", "a>b", "ä", "k" * 300)]
    assert len(set(odd)) == len(odd)
    assert all(len(one) < 60 and one.isascii() and " " not in one for one in odd)
