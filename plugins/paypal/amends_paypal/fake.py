"""A make-believe PayPal, for the contract suite and for `amends plugin-check paypal`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx

from amends import Answer, Order
from amends.testing.contracts import FakePlatform
from amends_paypal.webhooks import OLDEST

_Answer = dict[str, Any]
_OUTCOMES = {
    "for-us": "RESOLVED_SELLER_FAVOUR",
    "against-us": "RESOLVED_BUYER_FAVOUR",
    "withdrawn": "CANCELED_BY_BUYER",
}
_INQUIRY = ("send-message", "make-offer", "escalate")
_TOKEN = "A21AA-made-up-0017"  # noqa: S105  # made up
_PAGE = 5
_PART = re.compile(rb'name="input"\r\nContent-Type: application/json\r\n\r\n(.*?)\r\n--', re.DOTALL)


class FakePayPal(FakePlatform):
    """Keeps disputes in PayPal's own words, allows what it links to, and shows what was written into them."""

    name = "paypal"
    config: ClassVar[Mapping[str, Any]] = {
        "client_id": "made-up-client-0017",
        "client_secret": "made-up-client-secret-0017",
        "webhook_id": "WH-MADE-UP-0017",
        "invoice_prefix": "WEB-",
    }
    currency = "EUR"
    time_zone = "Europe/Berlin"
    required = ("dispute_id",)
    webhook_window = OLDEST

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.disputes: dict[str, _Answer] = {}
        self.forms: list[bytes] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/v1/oauth2/token":
            return self.lend(request)
        if request.headers.get("authorization") != f"Bearer {_TOKEN}":
            return refused(401, "AUTHENTICATION_FAILURE")
        if path == "/v1/notifications/verify-webhook-signature":
            return self.verify(request)
        parts = path.removeprefix("/v1/customer/disputes").strip("/").split("/")
        if parts == [""]:
            return self.list_disputes(request)
        found = self.all().get(parts[0])
        if found is None:
            return refused(404, "RESOURCE_NOT_FOUND")
        if request.method == "GET":
            return httpx.Response(200, json=found)
        return self.write(found, parts[1], request)

    def refuse(self, why: Any, request: httpx.Request) -> httpx.Response | None:
        """PayPal names what is wrong in `name` and in the issues of `details`."""
        said = request.content.decode("utf-8", "replace")
        if why == "not-allowed":
            return refused(403, "NOT_AUTHORIZED", "PERMISSION_DENIED", said)
        if why == "risk-control":
            return refused(422, "UNPROCESSABLE_ENTITY", "PAYEE_ACCOUNT_RESTRICTED", said)
        if why == "rejected":
            return refused(422, "UNPROCESSABLE_ENTITY", "INVALID_EVIDENCE", said)
        return super().refuse(why, request)

    def request(self, op: str, variant: str, **about: Any) -> Any:
        request = super().request(op, variant, **about)
        files = getattr(request, "files", ())
        if not files:
            return request
        # An escalation takes no files; everything else takes scans, but no tables.
        scans = (
            ()
            if op == "complain"
            else tuple(
                f.model_copy(update={"name": "proof.pdf", "media_type": "application/pdf"}) for f in files
            )
        )
        return request.model_copy(update={"files": scans})

    def prepare(self, op: str, order: Order) -> str:
        """A dispute about that order, at the point where PayPal allows `op`."""
        stands = {
            "respond": (
                "CHARGEBACK",
                "WAITING_FOR_SELLER_RESPONSE",
                "REQUIRED_ACTION",
                ("provide-evidence", "accept-claim"),
            ),
            "arbitrate": ("CHARGEBACK", "RESOLVED", "APPEALABLE", ("appeal",)),
        }
        inquiry = ("INQUIRY", "OPEN", "OPEN_INQUIRIES", _INQUIRY)
        stage, status, state, allowed = stands.get(op, inquiry)
        number = f"PP-D-{27800 + len(self.disputes)}"
        self.disputes[number] = dispute = self.dispute(number, order.number, stage, status, state)
        self.allow(dispute, *allowed)
        if status == "RESOLVED":
            dispute["dispute_outcome"] = {"outcome_code": "RESOLVED_BUYER_FAVOUR"}
        return number

    def webhook(self, order: Order) -> bytes:
        number = f"PP-D-{order.number}"
        resource = self.dispute(number, order.number, "INQUIRY", "OPEN", "OPEN_INQUIRIES")
        told = {"id": f"WH-{order.number}", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": resource}
        return json.dumps(told).encode()

    def sign(self, body: bytes, at: datetime) -> Mapping[str, str]:
        return {
            "PAYPAL-TRANSMISSION-ID": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
            "PAYPAL-TRANSMISSION-TIME": text(at),
            "PAYPAL-TRANSMISSION-SIG": signature(body, text(at)),
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-CERT-URL": "https://api.paypal.com/v1/notifications/certs/CERT-0017",
        }

    def all(self) -> dict[str, _Answer]:
        """Every dispute as it stands now, newest first, with customers' replies and what was decided."""
        found = dict(self.disputes)
        answers = {Answer.ACCEPT: "ACCEPTED", Answer.DECLINE: "DENIED"}
        for reply in self.replies:
            number = f"PP-R-{reply.order}"
            shown = found.setdefault(
                number, self.dispute(number, reply.order, "INQUIRY", "OPEN", "OPEN_INQUIRIES")
            )
            event = {
                "actor": "BUYER",
                "offer_time": text(reply.at),
                "notes": reply.text,
                "offer_type": "REFUND",
            }
            event["event_type"] = answers.get(reply.answer or Answer.ACCEPT, "ACCEPTED")
            shown.setdefault("offer", {"offer_type": "REFUND", "history": []})["history"].append(event)
        for number, ruling in self.rulings.items():
            decided = {"type": "PAYOUT_TO_SELLER", "adjudication_time": text(ruling.at)}
            found[number] = found[number] | {
                "status": "RESOLVED",
                "dispute_state": "RESOLVED",
                "update_time": text(ruling.at),
                "dispute_outcome": {"outcome_code": _OUTCOMES[ruling.verdict]},
                "adjudications": [decided],
            }
        return dict(sorted(found.items(), key=lambda item: item[1]["create_time"], reverse=True))

    def lend(self, request: httpx.Request) -> httpx.Response:
        who = f"{self.config['client_id']}:{self.config['client_secret']}".encode()
        if request.headers.get("authorization") != "Basic " + base64.b64encode(who).decode():
            told = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return httpx.Response(401, json=told)
        return httpx.Response(200, json={"access_token": _TOKEN, "token_type": "Bearer", "expires_in": 32400})

    def verify(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        raw = request.content.partition(b'"webhook_event": ')[2][:-1]
        good = asked["transmission_sig"] == signature(raw, asked["transmission_time"])
        status = "SUCCESS" if good and asked["webhook_id"] == self.config["webhook_id"] else "FAILURE"
        return httpx.Response(200, json={"verification_status": status})

    def list_disputes(self, request: httpx.Request) -> httpx.Response:
        since = datetime.fromisoformat(request.url.params["update_time_after"])
        found = [d for d in self.all().values() if datetime.fromisoformat(d["update_time"]) > since]
        start = int(base64.b64decode(request.url.params.get("next_page_token", "MA==")))
        size = min(_PAGE, int(request.url.params["page_size"]))
        shown = (
            "dispute_id",
            "create_time",
            "update_time",
            "status",
            "reason",
            "dispute_state",
            "dispute_life_cycle_stage",
            "links",
        )
        items = [{name: one[name] for name in shown} for one in found[start : start + size]]
        links = [{"href": str(request.url), "rel": "self", "method": "GET"}]
        if len(found) > start + size:
            token = base64.b64encode(str(start + size).encode()).decode()
            links.append(
                {
                    "href": str(request.url.copy_set_param("next_page_token", token)),
                    "rel": "next",
                    "method": "GET",
                }
            )
        return httpx.Response(200, json={"links": links} | ({"items": items} if items else {}))

    def write(self, dispute: _Answer, action: str, request: httpx.Request) -> httpx.Response:
        if action not in [link["href"].rpartition("/")[2] for link in dispute["links"]]:
            return refused(422, "UNPROCESSABLE_ENTITY", "ACTION_NOT_ALLOWED")
        kind = request.headers["content-type"]
        if action in ("escalate", "make-offer"):
            body = json.loads(request.content)
        else:
            part = _PART.search(request.content) if kind.startswith("multipart/form-data") else None
            if part is None:  # JSON, say
                return refused(400, "INVALID_REQUEST", "UNSUPPORTED_MEDIA_TYPE")
            self.forms.append(request.content)
            body = json.loads(part[1])
        getattr(self, action.replace("-", "_"))(dispute, body)
        dispute["update_time"] = text(self.clock.now())
        link = {"href": dispute["links"][0]["href"], "rel": "self", "method": "GET"}
        return httpx.Response(200, json={"links": [link]})

    def provide_evidence(
        self, dispute: _Answer, body: _Answer, action: str = "PROVIDE_EVIDENCE", op: str = "respond"
    ) -> None:
        for one in body["evidences"]:
            seen = {"source": "SUBMITTED_BY_SELLER", "action_info": {"action": action}}
            dispute.setdefault("evidences", []).append(one | seen)
        dispute |= {"status": "UNDER_REVIEW", "dispute_state": "UNDER_PAYPAL_REVIEW"}
        self.allow(dispute)
        self.note(op, dispute, body["evidences"][0]["notes"])

    def appeal(self, dispute: _Answer, body: _Answer) -> None:
        dispute.pop("dispute_outcome", None)
        dispute["dispute_life_cycle_stage"] = "PRE_ARBITRATION"
        self.provide_evidence(dispute, body, "APPEAL", "arbitrate")

    def provide_supporting_info(self, dispute: _Answer, body: _Answer) -> None:
        info = {
            "notes": body["notes"],
            "source": "SUBMITTED_BY_SELLER",
            "provided_time": text(self.clock.now()),
        }
        dispute.setdefault("supporting_info", []).append(info)
        self.note("respond", dispute, body["notes"])

    def send_message(self, dispute: _Answer, body: _Answer) -> None:
        said = {"posted_by": "SELLER", "time_posted": text(self.clock.now()), "content": body["message"]}
        dispute.setdefault("messages", []).append(said)
        self.note("message", dispute, body["message"])

    def make_offer(self, dispute: _Answer, body: _Answer) -> None:
        event = {"actor": "SELLER", "event_type": "PROPOSED", "offer_time": text(self.clock.now())}
        event |= {"notes": body["note"], "offer_type": body["offer_type"]}
        dispute.setdefault("offer", {"offer_type": body["offer_type"], "history": []})["history"].append(
            event
        )
        self.note("grant", dispute, body["note"])

    def escalate(self, dispute: _Answer, body: _Answer) -> None:
        dispute |= {
            "dispute_life_cycle_stage": "CHARGEBACK",
            "status": "UNDER_REVIEW",
            "dispute_state": "UNDER_PAYPAL_REVIEW",
        }
        self.allow(dispute)
        self.note("complain", dispute, body["note"])

    def note(self, op: str, dispute: _Answer, said: str) -> None:
        order = dispute["disputed_transactions"][0]["invoice_number"].removeprefix("WEB-")
        self.act(op, order, key=said.rpartition("[ref ")[2].rstrip("]"))

    def allow(self, dispute: _Answer, *actions: str) -> None:
        own = f"https://api-m.paypal.com/v1/customer/disputes/{dispute['dispute_id']}"
        dispute["links"] = [{"href": own, "rel": "self", "method": "GET"}]
        for action in actions:
            dispute["links"].append(
                {"href": f"{own}/{action}", "rel": action.replace("-", "_"), "method": "POST"}
            )
        if "make-offer" in actions:
            offers = {"offer_types": ["REFUND", "REPLACEMENT_WITHOUT_REFUND"]}
            dispute["allowed_response_options"] = {"make_offer": offers}

    def dispute(self, number: str, order: str, stage: str, status: str, state: str) -> _Answer:
        now = self.clock.now()
        made: _Answer = {
            "dispute_id": number,
            "create_time": text(now - timedelta(hours=2) + timedelta(seconds=len(self.disputes))),
            "update_time": text(now - timedelta(hours=1)),
            "disputed_transactions": [
                {"invoice_number": f"WEB-{order}", "seller_transaction_id": "3BC38643YC807283D"}
            ],
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "status": status,
            "dispute_state": state,
            "dispute_life_cycle_stage": stage,
            "dispute_channel": "INTERNAL",
            "dispute_amount": {"currency_code": self.currency, "value": "59.90"},
        }
        if status == "WAITING_FOR_SELLER_RESPONSE":
            made["seller_response_due_date"] = text(now + timedelta(days=5))
            asked = {"evidence_type": "PROOF_OF_FULFILLMENT", "source": "REQUESTED_FROM_SELLER"}
            made["evidences"] = [asked, asked | {"evidence_type": "ADDITIONAL_PROOF_OF_SHIPMENT"}]
        self.allow(made)
        return made


def signature(body: bytes, at: str) -> str:
    """Stands for PayPal's RSA signature, which only PayPal can check here."""
    return base64.b64encode(hmac.new(b"paypal", at.encode() + body, hashlib.sha256).digest()).decode()


def refused(status: int, name: str, issue: str = "", said: str = "") -> httpx.Response:
    told: _Answer = {"name": name, "message": f"Refused. {said}", "debug_id": "90957fca61718"}
    if issue:
        told["details"] = [{"issue": issue, "value": said, "description": "Refused."}]
    return httpx.Response(status, json=told)


def text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
