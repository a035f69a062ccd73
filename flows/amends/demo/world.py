"""The demo's shop: one on the sandbox, swept four times a virtual day."""

SHOP = "demo-shop"

CONFIG = """\
# Made by `amends demo`. A shop on the sandbox.
[shops.demo-shop]
connector = "sandbox"
playbook = "demo"
language = "en"
time_zone = "Asia/Shanghai"
schedule = "0 */6 * * *"

[shops.demo-shop.connector_config]
url = "{url}"

[playbooks.demo]
at_risk_before = ["24h", "12h"]
reply_within = "18h"
ruling_within = "36h"
poll = "6h"
rounds = 2
storm = {{ orders = 5000, within = "1h" }}
approve = {{ remedy_over = "50 CNY", two_people_over = "300 CNY" }}

[policies.ladder]
new_ship_in = "48h"

[[policies.ladder.rungs]]
state = "at-risk"
remedy = {{ kind = "points", points = 100 }}

[[policies.ladder.rungs]]
late_over = "0h"
order_under = "150 CNY"
remedy = {{ kind = "coupon", amount = "5 CNY" }}

[[policies.ladder.rungs]]
late_over = "0h"
order_from = "150 CNY"
remedy = {{ kind = "coupon", amount = "10 CNY" }}

[[policies.ladder.rungs]]
late_over = "0h"
round = 2
remedy = {{ kind = "coupon", amount = "15 CNY" }}

[caps]
per_order = "60 CNY"
per_shop_day = "1500 CNY"

[approvers.lin]

[approvers.chen]
"""
