"""Our metrics as an admin's Prometheus gets them."""

from prometheus_client.parser import text_string_to_metric_families

from tests.fixtures.renku import RenkuHub

Series = dict[tuple[str, ...], float]


async def scraped(hub: RenkuHub) -> Series:
    """Our series at `/hub/metrics`: by name, and labels in order of their names."""
    hub.user("prometheus", admin=True)
    answer = await hub.client("prometheus").get("metrics")
    assert answer.status_code == 200
    return series(answer.text)


def series(text: str) -> Series:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("renku_")
    }
